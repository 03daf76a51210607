import { existsSync } from 'node:fs';
import path from 'node:path';
import type { CommandModule } from 'yargs';
import { z } from 'zod';
import { positiveCount, seed } from '../config/schema/common.js';
import { RunError } from '../run/errors.js';
import { withScratchWorker } from '../run/workers/scratch_worker.js';
import type { OperationResult } from '../wire/protocol.gen.js';
import { NUMBER, parseOptions, TEXT } from './options.js';
import { requireEmpty } from './require_empty.js';
import { openStatusLine } from './status_line.js';
import { listenForStop } from './stop_signal.js';
import { workerSettings } from './worker_settings.js';

interface ImportArguments {
  readonly dataset: string;
  readonly from: string | undefined;
  readonly out: string | undefined;
  readonly seed: number;
  readonly limit: number | undefined;
  readonly json: boolean;
}

const choices = z.strictObject({ seed, limit: positiveCount.optional() });

function printImport(out: string, { rows, dropped }: OperationResult<'import_data'>): void {
  for (const [split, count] of Object.entries(rows)) {
    console.log(`${path.join(out, `${split}.jsonl`)}  ${count.toLocaleString('en')} rows`);
  }
  for (const [reason, count] of Object.entries(dropped)) {
    if (count > 0) console.log(`left out: ${count.toLocaleString('en')} rows, ${reason}`);
  }
  console.log(`where they come from: ${path.join(out, 'manifest.json')}`);
}

async function importData({ dataset, from, out, seed, limit, json }: ImportArguments): Promise<void> {
  const chosen = parseOptions(choices, { seed, ...(limit === undefined ? {} : { limit }) });
  const folder = out ?? path.join('data', dataset);
  requireEmpty(folder);
  const status = openStatusLine();
  status.show(`${dataset}: reading and writing`);
  // A worker that dies with this process would leave what it has written.
  const { signal, release } = listenForStop(() => status.show('stopping; once more stops at once'));
  const work = withScratchWorker(workerSettings({ device: 'cpu' }), async ({ client }) => {
    const args = {
      importer: dataset,
      // A hub name is no path; a path is meant from here, wherever the worker runs.
      ...(from === undefined ? {} : { source: existsSync(from) ? path.resolve(from) : from }),
      dir: path.resolve(folder),
      seed: chosen.seed,
      ...(chosen.limit === undefined ? {} : { limit: chosen.limit }),
    };
    const reply = await client.call('import_data', args, { signal });
    return reply.result;
  });
  const result = await work
    .catch((cause: unknown) => {
      if (!signal.aborted) throw cause;
      throw new RunError('interrupted', `the import of ${dataset} was stopped, and has written nothing`, {
        cause,
      });
    })
    .finally(() => {
      release();
      status.clear();
    });
  for (const note of result.notes) console.error(`note: ${note}`);
  if (json) console.log(JSON.stringify({ dataset, out: path.resolve(folder), ...result }));
  else printImport(folder, result);
}

export const importCommand: CommandModule<object, ImportArguments> = {
  command: 'import <dataset>',
  describe: 'Write a dataset of the literature as JSON lines, with a manifest',
  builder: (yargs) =>
    yargs
      .positional('dataset', {
        type: 'string',
        demandOption: true,
        describe: 'Name of an importer, for example dolly; configs/data/README.md has them all',
      })
      .option('from', {
        ...TEXT,
        describe: 'Hub dataset, file or folder to read; default the hub dataset that configs/data names',
      })
      .option('out', { ...TEXT, describe: 'Folder to write, new or empty; default data/DATASET' })
      .option('seed', { ...NUMBER, default: 0, describe: 'Seed of a split or a choice of rows' })
      .option('limit', {
        ...NUMBER,
        describe: 'Documents of openwebtext, from the first; default 200000',
      })
      .option('json', { type: 'boolean', default: false, describe: 'One JSON object on stdout' })
      .example('$0 import dolly', 'from the hub, to data/dolly: train, validation and test')
      .example('$0 import sni --from ../natural-instructions', 'from a git clone'),
  handler: importData,
};
