import type { CommandModule } from 'yargs';
import { z } from 'zod';
import { counted } from '../common/counted.js';
import { reportOn } from '../report/build.js';
import { resolveSweep } from '../sweep/resolve.js';
import { cornersOf, gridSize, trialsWanted } from '../sweep/space.js';
import { resumeSweep, runSweep, type SweepOptions, type SweepResult } from '../sweep/sweep.js';
import { isFolder } from '../sweep/sweep_folder.js';
import { CliError } from './errors.js';
import { devicesOf, NUMBER, parseOptions, TEXT } from './options.js';
import { listenForStop } from './stop_signal.js';
import { openSweepView } from './sweep_view.js';

interface SweepArguments {
  readonly config: string;
  readonly set: readonly string[];
  readonly out: string | undefined;
  readonly jobs: number | undefined;
  readonly devices: string | undefined;
  readonly trials: number | undefined;
  readonly 'dry-run': boolean;
  readonly json: boolean;
}

const workersSchema = z.object({
  jobs: z.int().min(1).max(1024).optional(),
  trials: z.int().min(1).max(1_000_000).optional(),
  devices: z.array(z.string()).min(1).optional(),
});

function refuseForFolder({ config, set, out, 'dry-run': dryRun }: SweepArguments): void {
  const given = [
    ...(set.length > 0 ? ['--set'] : []),
    ...(out === undefined ? [] : ['--out']),
    ...(dryRun ? ['--dry-run'] : []),
  ];
  if (given.length > 0)
    throw new CliError(
      'usage',
      `${given.join(', ')}: not with ${config}, the folder of a sweep that is continued`,
      {
        hint: 'only how many trials, and where they run, may change: --trials, --jobs, --devices',
      },
    );
}

/** What a sweep would do, for `--dry-run`. */
function describe(reference: string, overrides: readonly string[], json: boolean): void {
  const resolved = resolveSweep(reference, overrides);
  const { config, objective, hash, warnings } = resolved;
  const grid = gridSize(config.space);
  const corners = cornersOf(config.space).length;
  if (json) {
    console.log(JSON.stringify({ config, objective, hash, warnings, run: resolved.base }));
    return;
  }
  const { dataset, metric, decoding, mode } = objective;
  console.log(`sweep ${config.name}: ${counted(trialsWanted(config), 'trial')} by ${config.search.kind}`);
  console.log(`judged by ${metric} (${decoding}, ${mode}) of stage ${config.stage} on ${dataset}`);
  for (const path of Object.keys(config.space)) console.log(`varied: ${path}`);
  if (grid !== null) console.log(`the grid has ${counted(grid, 'point')}`);
  console.log(`${counted(corners, 'corner')} of the space can be run`);
  for (const warning of warnings) console.log(`warning: ${warning}`);
}

async function sweep(args: SweepArguments): Promise<void> {
  const { config, set, out, json } = args;
  const { jobs, trials, devices } = parseOptions(workersSchema, {
    ...args,
    devices: devicesOf(args.devices),
  });
  const resumed = isFolder(config);
  if (resumed) refuseForFolder(args);
  const overrides = [...set, ...(trials === undefined ? [] : [`search.trials=${trials}`])];
  if (args['dry-run']) return describe(config, overrides, json);
  const resolved = resumed ? null : resolveSweep(config, overrides);
  await show(json, (options) => {
    const all = {
      ...options,
      ...(jobs === undefined ? {} : { jobs }),
      ...(devices === undefined ? {} : { devices }),
    };
    return resolved === null ? resumeSweep(config, { ...all, trials }) : runSweep(resolved, out, all);
  });
}

/** Runs a sweep with the view of its events, writes its report, and prints the table. */
async function show(json: boolean, run: (options: SweepOptions) => Promise<SweepResult>): Promise<void> {
  const view = openSweepView({ json });
  const { signal, release } = listenForStop((message) => view.show({ kind: 'note', message }));
  try {
    const { folder } = await run({ emit: view.show, signal });
    view.close();
    const { text, path } = reportOn([folder.path]);
    if (!json)
      console.log(
        `\n${text}\nsweep folder  ${folder.path}\nbest run      ${folder.best}\nreport        ${path}`,
      );
  } finally {
    view.close();
    release();
  }
}

export const sweepCommand: CommandModule<object, SweepArguments> = {
  command: 'sweep <config>',
  describe: 'Search settings of a run: many trials of one stage, judged on its validation set',
  builder: (yargs) =>
    yargs
      .positional('config', {
        type: 'string',
        demandOption: true,
        describe: 'YAML file, name of a shipped sweep, or the folder of one to continue',
      })
      .option('set', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [] as string[],
        describe:
          'Override a key of the sweep (search.seed=2), or of its run as under `set`; may be repeated',
      })
      .option('out', { ...TEXT, describe: 'Folder to make; default runs/NAME-TIME' })
      .option('trials', {
        ...NUMBER,
        describe: 'Trials in all; also to add some to a sweep that is done',
      })
      .option('jobs', { ...NUMBER, describe: 'Trials at a time; default one a device' })
      .option('devices', { ...TEXT, describe: 'Devices to share out: cpu, or cuda:0,cuda:1' })
      .option('dry-run', {
        type: 'boolean',
        default: false,
        describe: 'Check the sweep and say what it would do; starts nothing',
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'A JSON row on stdout as each trial finishes, notes on stderr',
      })
      .example('$0 sweep quickstart-ammd --trials 10', 'search for better settings of AMMD')
      .example('$0 sweep runs/quickstart-ammd-20260101-120000', 'go on where it was stopped or killed'),
  handler: sweep,
};
