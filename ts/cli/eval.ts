import type { CommandModule } from 'yargs';
import { SCORES } from '../config/metrics.js';
import {
  type DatasetConfig,
  dataset as datasetSchema,
  type EvaluationConfig,
  FIELDS,
  stage as stageSchema,
} from '../config/schema.js';
import type { WorkerClient } from '../dispatch/client.js';
import { wireDataset } from '../dispatch/load_requests.js';
import { summarise } from '../metrics/aggregate.js';
import type { EvaluationRow } from '../metrics/rows.js';
import { lossesOf } from '../run/loaded/loaded_stage.js';
import { findModel, type ModelTarget, trainingData } from '../run/saved/model_target.js';
import { decodingsOf, describeDecoding, evaluateDataset } from '../run/stage/dataset_evaluation.js';
import { CliError } from './errors.js';
import { type ModelArguments, modelOptions, withModel } from './model_options.js';
import { NUMBER, parseOptions, TEMPLATE, TEXT } from './options.js';
import { openStatusLine } from './status_line.js';

interface EvalArguments extends ModelArguments {
  readonly data: readonly string[];
  readonly split: string;
  readonly template: DatasetConfig['template'] | undefined;
  readonly fields: readonly string[] | undefined;
  readonly metric: readonly string[] | undefined;
  readonly seeds: readonly number[] | undefined;
  readonly greedy: boolean | undefined;
  readonly 'no-greedy': boolean | undefined;
  readonly rows: number | undefined;
  readonly 'max-prompt-tokens': number | undefined;
  readonly 'max-tokens': number | undefined;
  readonly 'long-prompts': DatasetConfig['long_prompts'] | undefined;
  readonly 'skip-bad-lines': boolean | undefined;
  readonly 'max-new-tokens': number | undefined;
  readonly 'no-repeat-ngram-size': number | undefined;
}

/** The protocol of the instruction-following tables, but for the n-gram block of its final evaluation. */
const TABLES = { metrics: ['rouge_l'], seeds: [10, 20, 30, 40, 50], greedy: true, sampling: {} };

const given = <Value>(key: string, value: Value | undefined) => (value === undefined ? {} : { [key]: value });

/** What the options leave open is as in the run's own evaluation, so that its figures come out again. */
export function evaluationOf(
  { run }: Pick<ModelTarget, 'run'>,
  args: Partial<EvalArguments>,
): EvaluationConfig {
  const { metrics, seeds, greedy, sampling } = run?.stage.evaluation ?? TABLES;
  return parseOptions(stageSchema.shape.evaluation, {
    metrics: args.metric ?? metrics,
    seeds: args.seeds ?? seeds,
    greedy: args['no-greedy'] ? false : (args.greedy ?? greedy),
    rows: args.rows ?? null,
    sampling: {
      ...sampling,
      ...given('max_new_tokens', args['max-new-tokens']),
      ...given('no_repeat_ngram_size', args['no-repeat-ngram-size']),
    },
  });
}

/** `output=answer` as its two sides. @throws CliError `usage` */
function fieldOf(text: string): readonly [name: string, column: string] {
  const [, name, column] = /^(\w+)=(.+)$/s.exec(text) ?? [];
  if (name === undefined || column === undefined || !FIELDS.some((field) => field === name))
    throw new CliError('usage', `--fields ${text}: expected ${FIELDS.join(', ')}, then = and a column`);
  return [name, column];
}

/** A dataset of the run by name, or any source, read as the run's training set is where no option says otherwise. */
export function findDataset(
  target: Pick<ModelTarget, 'run'>,
  reference: string,
  args: Pick<EvalArguments, 'split' | 'template' | 'fields'> & Partial<EvalArguments>,
): DatasetConfig {
  const own = target.run?.config.data[reference];
  if (own !== undefined) return own;
  const trained = trainingData(target);
  // A built-in source has columns of its own.
  const columns = reference.startsWith('builtin:') ? undefined : trained?.fields;
  const template = args.template ?? trained?.template;
  return parseOptions(datasetSchema, {
    source: reference,
    split: args.split,
    template,
    ...(template === 'chat' ? given('template_options', trained?.template_options) : {}),
    max_prompt_tokens: args['max-prompt-tokens'] ?? trained?.max_prompt_tokens,
    max_tokens: args['max-tokens'] ?? trained?.max_tokens,
    long_prompts: args['long-prompts'] ?? trained?.long_prompts,
    skip_bad_lines: args['skip-bad-lines'] ?? trained?.skip_bad_lines,
    fields: args.fields === undefined ? columns : Object.fromEntries(args.fields.map(fieldOf)),
  });
}

interface DatasetTask {
  /** As the command line has it. */
  readonly reference: string;
  /** On the wire, where names are short; a source may be a long path. */
  readonly name: string;
  readonly config: DatasetConfig;
}

/** Every decoding of one dataset; `onRows` hears of each as soon as it is done. */
async function evaluateTask(
  client: WorkerClient,
  model: string,
  task: DatasetTask,
  evaluation: EvaluationConfig,
  onRows: (rows: readonly EvaluationRow[]) => void,
): Promise<void> {
  const { result } = await client.call('register_data', {
    dataset: task.name,
    source: wireDataset(task.config),
  });
  const rows = Math.min(result.rows, evaluation.rows ?? result.rows);
  if (rows === 0) throw new CliError('usage', `--data ${task.reference} has no rows`);
  if (result.unanswered > 0 && rows === result.rows)
    throw new CliError(
      'usage',
      `--data ${task.reference}: ${result.unanswered} of ${result.rows} rows have no answer to score responses by; leave them out`,
    );
  for (const note of [...(result.notes ?? []), ...lossesOf(task.reference, result)])
    console.error(`note: ${note}`);
  const status = openStatusLine();
  for (const decoding of decodingsOf(evaluation)) {
    const evaluated = await evaluateDataset(
      client,
      {
        about: { stage: model, step: 0, final: true },
        dataset: task.name,
        rows,
        decoding,
        metrics: evaluation.metrics,
        sampling: evaluation.sampling,
        texts: 0,
        keepScores: true,
      },
      {
        onRows: (done) => status.show(`${task.reference}, ${describeDecoding(decoding)}: ${done} of ${rows}`),
      },
    );
    status.clear();
    onRows(evaluated.rows.map((row) => ({ ...row, dataset: task.reference })));
  }
}

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
  const target = findModel(args.model, args.stage);
  const evaluation = evaluationOf(target, args);
  if (decodingsOf(evaluation).length === 0)
    throw new CliError('usage', 'nothing to decode: --no-greedy without --seeds');
  const tasks = args.data.map((reference, index) => {
    return { reference, name: `data-${index}`, config: findDataset(target, reference, args) };
  });
  await withModel(args, target, async (client) => {
    for (const task of tasks) {
      const all: EvaluationRow[] = [];
      await evaluateTask(client, target.name, task, evaluation, (rows) => {
        if (args.json) for (const row of rows) console.log(JSON.stringify(row));
        all.push(...rows);
      });
      if (!args.json) printSummaries(all);
    }
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
        ...TEXT,
        default: 'train',
        describe: 'Split of sources that are not the run’s',
      })
      .option('template', {
        ...TEMPLATE,
        describe:
          'Prompt template of sources that are not the run’s; default that of its training set, or alpaca',
      })
      .option('fields', {
        type: 'string',
        array: true,
        nargs: 1,
        describe: 'Column of such a source: output=answer; repeatable; default as in the training set',
      })
      .option('max-prompt-tokens', {
        ...NUMBER,
        describe: 'Longest prompt of such a source; default that of the training set, or 256',
      })
      .option('max-tokens', {
        ...NUMBER,
        describe: 'Longest prompt and answer together; default that of the training set, or 512',
      })
      .option('long-prompts', {
        choices: datasetSchema.shape.long_prompts.unwrap().options,
        requiresArg: true,
        describe: 'Cut longer prompts, or drop their rows; default as in the training set, or cut',
      })
      .option('skip-bad-lines', {
        type: 'boolean',
        describe: 'Leave bad lines of such a source out; default as in the training set, or no',
      })
      .option('metric', {
        choices: SCORES,
        type: 'string',
        array: true,
        nargs: 1,
        describe: 'Score, repeatable; default the run’s, or rouge_l',
      })
      .option('seeds', {
        type: 'number',
        array: true,
        describe: 'Decoding seeds; without any, greedy alone; default the run’s, or 10 20 30 40 50',
      })
      .option('greedy', { type: 'boolean', describe: 'Decode greedily as well; default as the run, or yes' })
      .option('no-greedy', { type: 'boolean', conflicts: 'greedy', describe: 'Do not decode greedily' })
      .option('rows', { ...NUMBER, describe: 'Rows of each set, from the first; default all' })
      .option('max-new-tokens', {
        ...NUMBER,
        describe: 'Longest response; default the run’s, or 256',
      })
      .option('no-repeat-ngram-size', {
        ...NUMBER,
        describe: 'The reference scripts’ final evaluation uses 6; 0 is off; default the run’s, or 0',
      })
      .example('$0 eval runs/quickstart-20260101-120000 --data seen', 'the run’s own evaluation of one set')
      .example('$0 eval ./my-model --data eval.jsonl --seeds 10 20 30 --json', 'rows for a script'),
  handler: evaluate,
};
