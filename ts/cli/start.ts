import type { CommandModule } from 'yargs';
import { configOptions } from './config_options.js';
import { TRACE } from './run_output.js';
import { type TrainArguments, train } from './train.js';

type StartArguments = Omit<TrainArguments, 'config'>;

export const startCommand: CommandModule<object, StartArguments> = {
  command: ['start', 'quickstart'],
  describe: 'The main job: teacher, student, AMMD beside SFT and KD on built-in tasks; minutes on a CPU',
  builder: (yargs) =>
    configOptions(yargs)
      .option('out', { type: 'string', describe: 'Run folder to make; default runs/quickstart-TIME' })
      .option('json', { type: 'boolean', default: false, describe: 'Events as JSON lines on stdout' })
      .option('trace', { type: 'string', describe: TRACE })
      .example('$0 start', 'everything, then the table and the place of the report'),
  handler: (args) => train({ ...args, config: 'quickstart' }),
};
