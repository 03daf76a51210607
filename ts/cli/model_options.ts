import type { Argv } from 'yargs';
import type { WorkerClient } from '../dispatch/client.js';
import { type ModelTarget, targetRole } from '../run/saved/model_target.js';
import { withScratchWorker } from '../run/workers/scratch_worker.js';
import { NUMBER, TEXT } from './options.js';
import { workerSettings } from './worker_settings.js';

/** Options of the commands that take one model: `eval` and `generate`. */
export interface ModelArguments {
  readonly model: string;
  readonly stage: string | undefined;
  readonly dtype: 'float32' | 'bfloat16' | 'float16' | undefined;
  readonly device: string;
  readonly threads: number;
  readonly json: boolean;
}

export function modelOptions<T>(yargs: Argv<T>): Argv<T & ModelArguments> {
  return yargs
    .positional('model', {
      type: 'string',
      demandOption: true,
      describe: 'Run folder, model folder, hub name, gguf:PATH or package:MODULE/FILE.gguf',
    })
    .option('stage', { ...TEXT, describe: 'Stage of the run; default its last finished one' })
    .option('dtype', {
      choices: ['float32', 'bfloat16', 'float16'] as const,
      requiresArg: true,
      describe: 'Dtype of weights and matrix products; default as in the run, or float32',
    })
    .option('device', { ...TEXT, default: 'auto', describe: 'auto, cpu, cuda or cuda:N' })
    .option('threads', {
      ...NUMBER,
      default: 0,
      describe: 'Threads of tensor operations; 0 is automatic',
    })
    .option('json', { type: 'boolean', default: false, describe: 'JSON lines on stdout' });
}

/** Loads a model as a fresh worker's student and calls `use`; the worker and the scratch folder are gone afterwards. */
export async function withModel<Result>(
  { device, threads, dtype }: ModelArguments,
  target: ModelTarget,
  use: (client: WorkerClient, scratch: string) => Promise<Result>,
): Promise<Result> {
  return withScratchWorker(workerSettings({ device, threads }), async ({ client }, scratch) => {
    const { result } = await client.call('load_role', targetRole(target, dtype));
    for (const note of result.notes) console.error(`note: ${note}`);
    return use(client, scratch);
  });
}
