import type { CommandModule } from 'yargs';
import { startRun } from '../run/run.js';
import { CONFIG, type ConfigArguments, configOptions, resolveArguments } from './config_options.js';
import { type RunArguments, runOptions, TEXT } from './options.js';
import { showRun } from './run_output.js';

export interface TrainArguments extends ConfigArguments, RunArguments {
  readonly config: string;
  readonly out: string | undefined;
}

/** Resolves the configuration, runs it, and prints the results. Nothing is written when the config is wrong. */
export async function train({ config, out, ...options }: TrainArguments): Promise<void> {
  const resolved = resolveArguments(config, options);
  await showRun(options, (run) => startRun(resolved, out, run));
}

export const trainCommand: CommandModule<object, TrainArguments> = {
  command: 'train <config>',
  describe: 'Run a configuration: train, evaluate, write the run folder and its report',
  builder: (yargs) =>
    runOptions(configOptions(yargs))
      .positional('config', CONFIG)
      .option('out', { ...TEXT, describe: 'Run folder to make; default runs/NAME-TIME' })
      .example(
        '$0 train configs/runs/quickstart.yaml --set stages.ammd.training.steps=100',
        'the main job with a shorter last stage',
      ),
  handler: train,
};
