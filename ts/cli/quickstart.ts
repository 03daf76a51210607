import type { CommandModule } from 'yargs';
import { z } from 'zod';
import { resolveConfig } from '../config/resolve.js';
import { stage } from '../config/schema.js';
import { configOptions } from './config_options.js';
import { NUMBER, parseOptions, runOptions, TEXT } from './options.js';
import { type TrainArguments, train } from './train.js';

const CONFIG = 'quickstart';

interface QuickstartArguments extends Omit<TrainArguments, 'config'> {
  readonly steps: number | undefined;
}

/** Overrides that give every stage so many steps. */
function stepOverrides(steps: number | undefined): readonly string[] {
  if (steps === undefined) return [];
  const given = parseOptions(z.object({ steps: stage.shape.training.shape.steps }), { steps });
  const { stages } = resolveConfig(CONFIG).config;
  return Object.keys(stages).map((name) => `stages.${name}.training.steps=${given.steps}`);
}

export const quickstartCommand: CommandModule<object, QuickstartArguments> = {
  command: ['quickstart', 'start'],
  describe: 'The main job: teacher, student, AMMD beside SFT and KD on built-in tasks; minutes on a CPU',
  builder: (yargs) =>
    runOptions(configOptions(yargs))
      .option('steps', {
        ...NUMBER,
        describe: 'Steps of every stage, for a short one; --set goes before',
      })
      .option('out', { ...TEXT, describe: 'Run folder to make; default runs/quickstart-TIME' })
      .example('$0 quickstart', 'everything, then the table and the place of the report')
      .example('$0 quickstart --steps 100', 'a first look')
      .example('$0 quickstart --set stages.ammd.training.steps=100', 'with a shorter last stage'),
  handler: ({ steps, ...args }) =>
    train({ ...args, config: CONFIG, set: [...stepOverrides(steps), ...args.set] }),
};
