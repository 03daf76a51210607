import type { CommandModule } from 'yargs';
import { resumeRun } from '../run/run.js';
import { type RunArguments, runOptions } from './options.js';
import { showRun } from './run_output.js';

interface ResumeArguments extends RunArguments {
  readonly run: string;
}

export const resumeCommand: CommandModule<object, ResumeArguments> = {
  command: 'resume <run>',
  describe: 'Continue a run after its last checkpoint',
  builder: (yargs) =>
    runOptions(
      yargs.positional('run', { type: 'string', demandOption: true, describe: 'Run folder' }),
    ).example('$0 resume runs/quickstart-20260101-120000', 'go on where it was stopped or killed'),
  handler: ({ run, ...args }) => showRun(args, (options) => resumeRun(run, options)),
};
