import type { CommandModule } from 'yargs';
import { resumeRun } from '../run/run.js';
import { showRun, TRACE } from './run_output.js';

interface ResumeArguments {
  readonly run: string;
  readonly json: boolean;
  readonly trace: string | undefined;
}

export const resumeCommand: CommandModule<object, ResumeArguments> = {
  command: 'resume <run>',
  describe: 'Continue a run after its last checkpoint',
  builder: (yargs) =>
    yargs
      .positional('run', { type: 'string', demandOption: true, describe: 'Run folder' })
      .option('json', { type: 'boolean', default: false, describe: 'Events as JSON lines on stdout' })
      .option('trace', { type: 'string', describe: TRACE })
      .example('$0 resume runs/quickstart-20260101-120000', 'go on where it was stopped or killed'),
  handler: ({ run, json, trace }) => showRun({ json, trace }, (options) => resumeRun(run, options)),
};
