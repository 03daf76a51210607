import type { CommandModule } from 'yargs';
import { reportOn } from '../report/build.js';
import { FIGURE_FORMATS, type FigureFormat } from '../report/charts/chart_file.js';
import { makeTimedFolder } from '../run/folder/run_folder.js';
import { CliError } from './errors.js';
import { TEXT } from './options.js';

interface ReportArguments {
  readonly folder: readonly string[];
  readonly out: string | undefined;
  readonly figures: string | undefined;
  readonly json: boolean;
}

/** `svg,png` as formats. @throws CliError `usage` */
function formatsOf(list: string | undefined): readonly FigureFormat[] {
  const names = list?.split(',').map((name) => name.trim()) ?? [];
  const isFormat = (name: string): name is FigureFormat => FIGURE_FORMATS.some((format) => format === name);
  const unknown = names.find((name) => !isFormat(name));
  if (unknown !== undefined)
    throw new CliError('usage', `--figures: there is no format ${JSON.stringify(unknown)}`, {
      hint: `formats: ${FIGURE_FORMATS.join(', ')}; several with commas`,
    });
  return names.filter(isFormat);
}

function report({ folder: folders, out, figures, json }: ReportArguments): void {
  const formats = formatsOf(figures);
  const compared = () => makeTimedFolder('reports', 'comparison', new Date());
  const written = reportOn(folders, {
    out: out ?? (folders.length > 1 ? compared : undefined),
    figures: formats,
  });
  if (json) {
    console.log(JSON.stringify(written.results));
    return;
  }
  const { path, files } = written.figures;
  const drawn = formats.length === 0 ? '' : `\nfigures     ${files.length} files in ${path}`;
  console.log(`${written.text}${drawn}\nreport      ${written.path}`);
}

export const reportCommand: CommandModule<object, ReportArguments> = {
  command: 'report <folder..>',
  describe: 'Write tables and an HTML page: of a run, of several runs compared, of a reproduction or a sweep',
  builder: (yargs) =>
    yargs
      .positional('folder', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'Run folders, finished or not; or the folder of one reproduction or one sweep',
      })
      .option('out', {
        ...TEXT,
        describe: 'Folder to write into; default the folder itself, of several reports/comparison-TIME',
      })
      .option('figures', {
        ...TEXT,
        describe: `Every chart as a file too, in figures/: ${FIGURE_FORMATS.join(', ')}, or both with a comma`,
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'The results as one JSON object on stdout',
      })
      .example('$0 report runs/quickstart-20260101-120000', 'results so far')
      .example(
        '$0 report runs/kd-* runs/ammd-* --out reports/kd-ammd',
        'runs side by side; seeds are grouped',
      )
      .example('$0 report runs/demo-20260101-120000 --figures svg,png', 'charts for a paper'),
  handler: report,
};
