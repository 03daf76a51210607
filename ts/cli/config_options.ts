import type { Argv } from 'yargs';
import { type ResolvedConfig, resolveConfig } from '../config/resolve.js';

/** Options of the commands that take a configuration. */
export interface ConfigArguments {
  readonly set: readonly string[];
  readonly 'skip-bad-lines': boolean;
}

export function configOptions<T>(yargs: Argv<T>): Argv<T & ConfigArguments> {
  return yargs
    .option('set', {
      type: 'string',
      array: true,
      nargs: 1,
      default: [] as string[],
      describe: 'Override a key: a.b.c=VALUE; may be repeated',
    })
    .option('skip-bad-lines', {
      type: 'boolean',
      default: false,
      describe: 'Count bad lines of data files instead of failing at the first',
    });
}

/** The positional argument `config`. */
export const CONFIG = {
  type: 'string',
  demandOption: true,
  describe: 'YAML file, or name of a shipped one',
} as const;

/** @throws ConfigError with every problem found. */
export function resolveArguments(config: string, args: ConfigArguments): ResolvedConfig {
  const skip = args['skip-bad-lines'] ? ['data_defaults.skip_bad_lines=true'] : [];
  return resolveConfig(config, [...skip, ...args.set]);
}
