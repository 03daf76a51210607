import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import type { CommandModule } from 'yargs';
import { AmmdError } from '../common/errors.js';
import { dataset as datasetSchema, sampling as samplingSchema } from '../config/schema.js';
import { evaluateRows } from '../dispatch/evaluation.js';
import type { ModelTarget } from '../run/model_target.js';
import { wireDataset } from '../run/stage_setup.js';
import { type ModelArguments, modelOptions, withModel } from './model_options.js';

interface GenerateArguments extends ModelArguments {
  readonly prompt: readonly string[] | undefined;
  readonly template: 'alpaca' | 'chat' | 'plain' | undefined;
  readonly 'max-new-tokens': number;
  readonly temperature: number;
  readonly 'top-p': number;
  readonly seed: number;
}

/** Prompts from the options, or else one prompt from standard input. */
async function readPrompts(given: readonly string[] | undefined): Promise<readonly string[]> {
  const prompts = given ?? (process.stdin.isTTY ? [] : [(await text(process.stdin)).trim()]);
  if (prompts.length > 0 && prompts.every((prompt) => prompt.trim() !== '')) return prompts;
  throw new AmmdError('usage', 'no prompt was given', {
    hint: 'give --prompt TEXT (may be repeated), or the prompt on standard input',
  });
}

/** A run's model is asked as it was trained; for others the chat template is the safest guess. */
function templateOf(target: ModelTarget, chosen: GenerateArguments['template']) {
  const stage = target.stage === null ? undefined : target.config?.stages[target.stage];
  return chosen ?? (stage && target.config?.data[stage.data.train]?.template) ?? 'chat';
}

async function generate(args: GenerateArguments): Promise<void> {
  const prompts = await readPrompts(args.prompt);
  const sampling = samplingSchema.parse({
    temperature: args.temperature,
    top_p: args['top-p'],
    max_new_tokens: args['max-new-tokens'],
  });
  await withModel(args, async ({ client }, target, scratch) => {
    const file = path.join(scratch, 'prompts.jsonl');
    writeFileSync(
      file,
      prompts.map((prompt) => `${JSON.stringify({ instruction: prompt, output: [] })}\n`).join(''),
    );
    const source = datasetSchema.parse({
      source: file,
      template: templateOf(target, args.template),
      max_prompt_tokens: 1_048_575,
      max_tokens: 1_048_576,
    });
    await client.call('register_data', { dataset: 'prompts', source: wireDataset(source) });
    const { texts } = await evaluateRows(client, {
      role: 'student',
      dataset: 'prompts',
      rows: prompts.map((_, row) => row),
      sampling,
      seed: args.seed,
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
      .option('template', {
        choices: ['alpaca', 'chat', 'plain'] as const,
        describe: 'Prompt template; default the run’s, or chat',
      })
      .option('max-new-tokens', { type: 'number', default: 256, describe: 'Longest response' })
      .option('temperature', { type: 'number', default: 1, describe: '0 is greedy' })
      .option('top-p', { type: 'number', default: 1, describe: 'Nucleus; 1 is off' })
      .option('seed', { type: 'number', default: 0, describe: 'Decoding seed' })
      .example(
        '$0 generate runs/quickstart-20260101-120000 --prompt "reverse: abc"',
        'ask a run’s last student',
      ),
  handler: generate,
};
