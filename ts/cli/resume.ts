import type { CommandModule } from 'yargs';
import { resumeRun } from '../run/run.js';
import { showRun } from './run_output.js';

interface ResumeArguments {
  readonly run: string;
  readonly json: boolean;
}

export const resumeCommand: CommandModule<object, ResumeArguments> = {
  command: 'resume <run>',
  describe: 'Continue a run after its last checkpoint',
  builder: (yargs) =>
    yargs
      .positional('run', { type: 'string', demandOption: true, describe: 'Run folder' })
      .option('json', { type: 'boolean', default: false, describe: 'Events as JSON lines on stdout' })
      .example('$0 resume runs/quickstart-20260101-120000', 'go on where it was stopped or killed'),
  handler: ({ run, json }) => showRun(json, (options) => resumeRun(run, options)),
};
