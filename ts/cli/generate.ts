import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import type { CommandModule } from 'yargs';
import {
  type DatasetConfig,
  dataset as datasetSchema,
  run as runSchema,
  sampling as samplingSchema,
} from '../config/schema.js';
import { evaluateRows } from '../dispatch/evaluation.js';
import { wireDataset } from '../dispatch/load_requests.js';
import { findModel, type ModelTarget, trainingData } from '../run/saved/model_target.js';
import { CliError } from './errors.js';
import { type ModelArguments, modelOptions, withModel } from './model_options.js';
import { NUMBER, parseOptions, TEMPLATE, TEXT } from './options.js';

const seedSchema = runSchema.pick({ seed: true });

interface GenerateArguments extends ModelArguments {
  readonly prompt: readonly string[] | undefined;
  readonly system: string | undefined;
  readonly template: DatasetConfig['template'] | undefined;
  readonly 'max-new-tokens': number | undefined;
  readonly temperature: number;
  readonly 'top-p': number;
  readonly seed: number;
}

/** Prompts from the options, or else one prompt from standard input. */
async function readPrompts(given: readonly string[] | undefined): Promise<readonly string[]> {
  const prompts = given ?? (process.stdin.isTTY ? [] : [(await text(process.stdin)).trim()]);
  if (prompts.length > 0 && prompts.every((prompt) => prompt.trim() !== '')) return prompts;
  throw new CliError('usage', 'no prompt was given', {
    hint: 'give --prompt TEXT (may be repeated), or the prompt on standard input',
  });
}

/** A run's model is asked as it was trained and evaluated; for others the chat template is the safest guess. */
function defaultsOf(target: ModelTarget) {
  return {
    template: trainingData(target)?.template ?? 'chat',
    templateOptions: trainingData(target)?.template_options,
    maxNewTokens: target.run?.stage.evaluation.sampling.max_new_tokens ?? 256,
  };
}

/** A row of a dataset without references; what the system says makes it a conversation. */
export const promptRow = (prompt: string, system: string | undefined) =>
  system === undefined
    ? { instruction: prompt, output: [] }
    : {
        messages: [
          { role: 'system', content: system },
          { role: 'user', content: prompt },
        ],
      };

/** Prompts become rows of a dataset, never cut. */
function promptSource(
  rows: readonly ReturnType<typeof promptRow>[],
  shown: Pick<DatasetConfig, 'template' | 'template_options'>,
  scratch: string,
): DatasetConfig {
  const file = path.join(scratch, 'prompts.jsonl');
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return datasetSchema.parse({
    source: file,
    ...shown,
    max_prompt_tokens: 1_048_575,
    max_tokens: 1_048_576,
  });
}

async function generate(args: GenerateArguments): Promise<void> {
  const target = findModel(args.model, args.stage);
  const prompts = await readPrompts(args.prompt);
  const defaults = defaultsOf(target);
  const { seed } = parseOptions(seedSchema, { seed: args.seed });
  const sampling = parseOptions(samplingSchema, {
    temperature: args.temperature,
    top_p: args['top-p'],
    max_new_tokens: args['max-new-tokens'] ?? defaults.maxNewTokens,
  });
  await withModel(args, target, async (client, scratch) => {
    const rows = prompts.map((prompt) => promptRow(prompt, args.system));
    const template = args.template ?? defaults.template;
    const options = template === 'chat' ? defaults.templateOptions : undefined;
    const source = promptSource(
      rows,
      { template, ...(options === undefined ? {} : { template_options: options }) },
      scratch,
    );
    await client.call('register_data', { dataset: 'prompts', source: wireDataset(source) });
    const { texts } = await evaluateRows(client, {
      role: 'student',
      dataset: 'prompts',
      rows: prompts.map((_, row) => row),
      sampling,
      seed,
      metrics: [],
      texts: prompts.length,
    });
    for (const [row, { text: response }] of texts.entries())
      console.log(args.json ? JSON.stringify({ prompt: prompts[row], response }) : response);
  });
}

export const generateCommand: CommandModule<object, GenerateArguments> = {
  command: 'generate <model>',
  describe: 'Answer prompts with a run’s student or any model',
  builder: (yargs) =>
    modelOptions(yargs)
      .option('prompt', { type: 'string', array: true, nargs: 1, describe: 'Prompt; may be repeated' })
      .option('system', { ...TEXT, describe: 'What the system says before each prompt; of chats alone' })
      .option('template', {
        ...TEMPLATE,
        describe: 'Prompt template; default that of the run’s training set, or chat',
      })
      .option('max-new-tokens', {
        ...NUMBER,
        describe: 'Longest response; default that of the run’s evaluation, or 256',
      })
      .option('temperature', { ...NUMBER, default: 1, describe: '0 is greedy' })
      .option('top-p', { ...NUMBER, default: 1, describe: 'Nucleus; 1 is off' })
      .option('seed', { ...NUMBER, default: 0, describe: 'Decoding seed' })
      .example(
        '$0 generate runs/quickstart-20260101-120000 --prompt "reverse: abc"',
        'ask a run’s last student',
      )
      .example('$0 generate ./my-model --temperature 0 --json < prompt.txt', 'greedily, for a script'),
  handler: generate,
};
