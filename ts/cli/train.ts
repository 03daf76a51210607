import type { CommandModule } from 'yargs';
import { resolveConfig } from '../config/resolve.js';
import { startRun } from '../run/run.js';
import { showRun, TRACE } from './run_output.js';

export interface TrainArguments {
  readonly config: string;
  readonly set: readonly string[];
  readonly out: string | undefined;
  readonly json: boolean;
  readonly trace: string | undefined;
}

/** Resolves the configuration, runs it, and prints the results. Nothing is written when the config is wrong. */
export async function train({ config, set, out, json, trace }: TrainArguments): Promise<void> {
  const resolved = resolveConfig(config, set);
  await showRun({ json, trace }, (options) => startRun(resolved, out, options));
}

export const trainCommand: CommandModule<object, TrainArguments> = {
  command: 'train <config>',
  describe: 'Run a configuration: train, evaluate, write the run folder and its report',
  builder: (yargs) =>
    yargs
      .positional('config', {
        type: 'string',
        demandOption: true,
        describe: 'YAML file, or name of a shipped one',
      })
      .option('set', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [] as string[],
        describe: 'Override a key: a.b.c=VALUE; may be repeated',
      })
      .option('out', { type: 'string', describe: 'Run folder to make; default runs/NAME-TIME' })
      .option('json', { type: 'boolean', default: false, describe: 'Events as JSON lines on stdout' })
      .option('trace', { type: 'string', describe: TRACE })
      .example(
        '$0 train configs/runs/quickstart.yaml --set stages.ammd.training.steps=100',
        'the main job with a shorter last stage',
      ),
  handler: train,
};
