import type { Argv } from 'yargs';
import { z } from 'zod';
import { dataset, run as runSchema } from '../config/schema.js';
import { CliError } from './errors.js';

/** Options with a value. Without `requiresArg` one that has none counts as not given: `--max-hours` would set no limit. */
export const TEXT = { type: 'string', requiresArg: true } as const;
export const NUMBER = { type: 'number', requiresArg: true } as const;
export const TEMPLATE = { choices: dataset.shape.template.unwrap().options, requiresArg: true } as const;

export interface RunArguments {
  readonly json: boolean;
  readonly trace: string | undefined;
  readonly 'max-hours': number | undefined;
}

/** Options of every command that runs stages. */
export function runOptions<T>(yargs: Argv<T>) {
  return yargs
    .option('json', { type: 'boolean', default: false, describe: 'Events as JSON lines on stdout' })
    .option('trace', {
      ...TEXT,
      describe: 'Append every request and reply to this file, a JSON line each; to see what hangs',
    })
    .option('max-hours', {
      ...NUMBER,
      describe: 'Stop with a checkpoint when this call has taken so long; in place of the config’s max_hours',
    });
}

/**
 * Checks options by the schema that the same settings have in a configuration; `max_new_tokens` there is
 * `--max-new-tokens` here.
 *
 * @throws CliError `usage` that names the option.
 */
export function parseOptions<T extends z.ZodType>(schema: T, values: unknown): z.output<T> {
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => {
    const key = path.findLast((part) => typeof part === 'string') ?? '';
    const option = key.replaceAll('_', '-');
    return `--${option}: ${message}`;
  });
  throw new CliError('usage', problems.join('; '), { hint: 'see: ammd COMMAND --help' });
}

/**
 * `cpu`, or `cuda:0,cuda:1`; each as a configuration's `worker.device`.
 *
 * @throws CliError `usage`.
 */
export function devicesOf(list: string | undefined): readonly string[] | undefined {
  const schema = z.object({ devices: runSchema.shape.worker });
  return list
    ?.split(',')
    .map((device) => parseOptions(schema, { devices: { device: device.trim() } }).devices.device);
}
