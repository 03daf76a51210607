import type { CommandModule } from 'yargs';
import { buildReport } from '../report/build.js';
import { openRunFolder } from '../run/run_folder.js';

interface ReportArguments {
  readonly run: string;
}

export const reportCommand: CommandModule<object, ReportArguments> = {
  command: 'report <run>',
  describe: 'Write the table and the HTML page of a run anew, also of one that has not finished',
  builder: (yargs) =>
    yargs
      .positional('run', { type: 'string', demandOption: true, describe: 'Run folder' })
      .example('$0 report runs/quickstart-20260101-120000', 'results so far'),
  handler: ({ run }) => {
    const folder = openRunFolder(run);
    console.log(`${buildReport(folder.path).text}\nreport      ${folder.report}`);
  },
};
