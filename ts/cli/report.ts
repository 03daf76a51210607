import type { CommandModule } from 'yargs';
import { buildReport } from '../report/build.js';
import { openRunFolder } from '../run/run_folder.js';

interface ReportArguments {
  readonly run: string;
  readonly json: boolean;
}

function report({ run, json }: ReportArguments): void {
  const folder = openRunFolder(run);
  const { results, text } = buildReport(folder.path);
  console.log(json ? JSON.stringify(results) : `${text}\nreport      ${folder.report}`);
}

export const reportCommand: CommandModule<object, ReportArguments> = {
  command: 'report <run>',
  describe: 'Write the table and the HTML page of a run anew, also of one that has not finished',
  builder: (yargs) =>
    yargs
      .positional('run', { type: 'string', demandOption: true, describe: 'Run folder' })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'The results as one JSON object on stdout',
      })
      .example('$0 report runs/quickstart-20260101-120000', 'results so far'),
  handler: report,
};
