import type { CommandModule } from 'yargs';
import { configOptions } from './config_options.js';
import { runOptions } from './options.js';
import { type TrainArguments, train } from './train.js';

type StartArguments = Omit<TrainArguments, 'config'>;

export const startCommand: CommandModule<object, StartArguments> = {
  command: ['start', 'quickstart'],
  describe: 'The main job: teacher, student, AMMD beside SFT and KD on built-in tasks; minutes on a CPU',
  builder: (yargs) =>
    runOptions(configOptions(yargs))
      .option('out', { type: 'string', describe: 'Run folder to make; default runs/quickstart-TIME' })
      .example('$0 start', 'everything, then the table and the place of the report')
      .example('$0 start --set stages.ammd.training.steps=100', 'with a shorter last stage'),
  handler: (args) => train({ ...args, config: 'quickstart' }),
};
