import { cpSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { CommandModule } from 'yargs';
import { exportCheckpoint } from '../run/saved/export_student.js';
import { type ExportForm, findExport } from '../run/saved/export_target.js';
import { withScratchWorker } from '../run/workers/scratch_worker.js';
import { TEXT } from './options.js';
import { requireEmpty } from './require_empty.js';
import { workerSettings } from './worker_settings.js';

interface ExportArguments {
  readonly target: string;
  readonly out: string;
  readonly stage: string | undefined;
  readonly form: ExportForm;
  readonly device: string;
  readonly json: boolean;
}

async function exportModel({
  target,
  out,
  stage: wanted,
  form,
  device,
  json,
}: ExportArguments): Promise<void> {
  requireEmpty(out);
  const settings = workerSettings({ device });
  const found = findExport(target, wanted, form, (note) => console.error(`note: ${note}`));
  const { run, stage, step, checkpoint } = found;
  if (checkpoint === null) cpSync(run.stage(stage.name).student, out, { recursive: true });
  else
    await withScratchWorker(settings, ({ client }) => exportCheckpoint(client, found, checkpoint, out, form));
  const written = { out: path.resolve(out), form, stage: stage.name, step, files: readdirSync(out).sort() };
  console.log(
    json
      ? JSON.stringify(written)
      : `${form === 'merged' ? 'model' : 'adapters'} of stage ${stage.name} after step ${step}: ${out}`,
  );
}

export const exportCommand: CommandModule<object, ExportArguments> = {
  command: 'export <target>',
  describe: 'Write a run’s student as a model folder, or its adapters alone',
  builder: (yargs) =>
    yargs
      .positional('target', {
        type: 'string',
        demandOption: true,
        describe: 'Run folder, or the folder of a checkpoint in it (runs/…/stages/…/checkpoints/step-…)',
      })
      .option('out', { ...TEXT, demandOption: true, describe: 'Folder to write; new or empty' })
      .option('stage', {
        ...TEXT,
        describe:
          'Stage of the run; default its last finished one. One that is not finished has its best checkpoint, or its last',
      })
      .option('form', {
        choices: ['merged', 'adapter'] as const,
        requiresArg: true,
        default: 'merged' as const,
        describe: 'merged: a model like any other; adapter: the low-rank adapters alone, in PEFT’s format',
      })
      .option('device', { ...TEXT, default: 'cpu', describe: 'auto, cpu, cuda or cuda:N' })
      .option('json', { type: 'boolean', default: false, describe: 'One JSON object on stdout' })
      .example('$0 export runs/quickstart-20260101-120000 --out my-model', 'the student of its last stage')
      .example(
        '$0 export runs/quickstart-20260101-120000 --stage kd --form adapter --out my-adapters',
        'what low-rank training added',
      ),
  handler: exportModel,
};
