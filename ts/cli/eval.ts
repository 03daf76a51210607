import type { CommandModule } from 'yargs';
import {
  type DatasetConfig,
  dataset as datasetSchema,
  sampling as samplingSchema,
} from '../config/schema.js';
import { summarise } from '../metrics/aggregate.js';
import type { EvaluationRow } from '../metrics/rows.js';
import { decodingsOf, evaluateDataset } from '../run/dataset_evaluation.js';
import type { ModelTarget } from '../run/model_target.js';
import { wireDataset } from '../run/stage_setup.js';
import { type ModelArguments, modelOptions, withModel } from './model_options.js';

interface EvalArguments extends ModelArguments {
  readonly data: readonly string[];
  readonly split: string;
  readonly template: DatasetConfig['template'];
  readonly metric: readonly string[];
  readonly seeds: readonly number[];
  readonly greedy: boolean;
  readonly rows: number | undefined;
  readonly 'max-new-tokens': number;
  readonly 'no-repeat-ngram-size': number;
}

/** A dataset of the run by name, or any source with the settings of the command line. */
function findDataset(target: ModelTarget, reference: string, args: EvalArguments): DatasetConfig {
  return (
    target.config?.data[reference] ??
    datasetSchema.parse({ source: reference, split: args.split, template: args.template })
  );
}

/** Names on the wire are short; a source may be a long path. */
const wireName = (index: number) => `data-${index}`;

function printSummaries(rows: readonly EvaluationRow[]): void {
  for (const summary of summarise(rows)) {
    const spread = summary.sd === null ? '' : ` ± ${summary.sd.toFixed(2)}`;
    const over = summary.seeds > 1 ? `, ${summary.seeds} seeds` : '';
    const length = summary.mean_length === null ? '' : `, ${summary.mean_length.toFixed(1)} tokens`;
    console.log(
      `${summary.dataset}  ${summary.metric}  ${summary.decoding}  ${summary.mean.toFixed(2)}${spread}` +
        `  (${summary.rows} rows${over}${length})`,
    );
  }
}

async function evaluate(args: EvalArguments): Promise<void> {
  const sampling = samplingSchema.parse({
    max_new_tokens: args['max-new-tokens'],
    no_repeat_ngram_size: args['no-repeat-ngram-size'],
  });
  await withModel(args, async ({ client }, target) => {
    const rows: EvaluationRow[] = [];
    for (const [index, reference] of args.data.entries()) {
      const source = wireDataset(findDataset(target, reference, args));
      const dataset = wireName(index);
      const { result } = await client.call('register_data', { dataset, source });
      for (const decoding of decodingsOf({ greedy: args.greedy, seeds: args.seeds })) {
        const evaluated = await evaluateDataset(
          client,
          {
            about: { stage: target.name, step: 0, final: true },
            dataset,
            rows: Math.min(result.rows, args.rows ?? result.rows),
            decoding,
            metrics: args.metric,
            sampling,
            texts: 0,
            keepScores: args.json,
          },
          () => {},
        );
        const named = evaluated.rows.map((row) => ({ ...row, dataset: reference }));
        if (args.json) for (const row of named) console.log(JSON.stringify(row));
        rows.push(...named);
      }
    }
    if (!args.json) printSummaries(rows);
  });
}

export const evalCommand: CommandModule<object, EvalArguments> = {
  command: 'eval <model>',
  describe: 'Score a run’s student or any model on datasets',
  builder: (yargs) =>
    modelOptions(yargs)
      .option('data', {
        type: 'string',
        array: true,
        nargs: 1,
        demandOption: true,
        describe:
          'Dataset of the run by name, a JSONL or parquet file, a hub name, or builtin:microtasks; repeatable',
      })
      .option('split', {
        type: 'string',
        default: 'train',
        describe: 'Split of sources that are not the run’s',
      })
      .option('template', {
        choices: ['alpaca', 'chat', 'plain'] as const,
        default: 'alpaca' as const,
        describe: 'Prompt template of sources that are not the run’s',
      })
      .option('metric', {
        choices: ['rouge_l', 'exact_match'],
        type: 'string',
        array: true,
        nargs: 1,
        default: ['rouge_l'],
        describe: 'Score; repeatable',
      })
      .option('seeds', {
        type: 'number',
        array: true,
        default: [10, 20, 30, 40, 50],
        describe: 'Decoding seeds',
      })
      .option('greedy', { type: 'boolean', default: true, describe: 'Decode greedily as well' })
      .option('rows', { type: 'number', describe: 'Rows of each set, from the first' })
      .option('max-new-tokens', { type: 'number', default: 256, describe: 'Longest response' })
      .option('no-repeat-ngram-size', {
        type: 'number',
        default: 0,
        describe: 'The reference scripts’ final evaluation uses 6; 0 is off',
      })
      .example(
        '$0 eval runs/quickstart-20260101-120000 --data seen --metric exact_match',
        'one test set of a run',
      )
      .example('$0 eval ./my-model --data eval.jsonl --seeds 10 20 30 --json', 'rows for a script'),
  handler: evaluate,
};
