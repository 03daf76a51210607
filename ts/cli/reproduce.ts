import path from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import { z } from 'zod';
import { showPath } from '../config/files.js';
import { reportOn } from '../report/build.js';
import { ReproductionFolder } from '../reproduce/folder.js';
import { type Profile, resolveProfile } from '../reproduce/profile.js';
import { planTable, type ReproducedTable, reproduceTable } from '../reproduce/run_table.js';
import { availableCores } from '../run/workers/cores.js';
import { contentFingerprint } from '../store/fingerprint.js';
import { CliError } from './errors.js';
import { devicesOf, NUMBER, parseOptions, TEXT } from './options.js';
import { plannedLines } from './reproduce/dry_run_lines.js';
import { openReproductionProgress } from './reproduce/progress.js';
import { listenForStop } from './stop_signal.js';

interface ReproduceArguments {
  readonly table: string;
  readonly profile: string;
  readonly out: string | undefined;
  readonly seeds: number | undefined;
  readonly jobs: number | undefined;
  readonly devices: string | undefined;
  readonly set: readonly string[];
  readonly 'dry-run': boolean;
  readonly json: boolean;
}

const numbers = z.object({
  seeds: z.int().min(1).max(1000).optional(),
  jobs: z.int().min(1).max(256).optional(),
});

/** Workers on a CPU, however many cores it has: each takes half a gigabyte and more. */
const MOST_ON_CPU = 8;

/** Devices of the workers, and how many work at a time: one a device; on a CPU as many as its cores allow. */
function workersOf({ run }: Profile, devices: string | undefined, jobs: number | undefined) {
  const names = devicesOf(devices) ?? [run.worker.device];
  const { threads } = run.worker;
  const cores = threads > 0 ? Math.floor(availableCores() / threads) : 1;
  const onCpu = Math.min(Math.max(1, cores), MOST_ON_CPU);
  return { devices: names, jobs: jobs ?? (names.every((name) => name === 'cpu') ? onCpu : names.length) };
}

function requireFiles({ missing }: Profile): void {
  if (missing.length === 0) return;
  const files = missing.map(({ path: key, message }) => `${key}: ${message}`);
  throw new CliError('usage', files.join('\n'), {
    hint: 'see: ammd import --help, and --dry-run for what is needed',
  });
}

async function reproduce(args: ReproduceArguments): Promise<void> {
  const { seeds: count, jobs } = parseOptions(numbers, { seeds: args.seeds, jobs: args.jobs });
  const profile = resolveProfile(args.profile, args.set);
  const workers = workersOf(profile, args.devices, jobs);
  const { name, tables } = profile.config;
  const table = Object.hasOwn(tables, args.table) ? tables[args.table] : undefined;
  if (table === undefined)
    throw new CliError('usage', `the profile ${name} has no table ${args.table}`, {
      hint: `it has: ${Object.keys(tables).join(', ')}`,
    });
  const fingerprint = contentFingerprint();
  const out = args.out ?? path.join('reproductions', name);
  const folder = new ReproductionFolder(out, fingerprint);
  if (args['dry-run']) {
    const planned = planTable(profile, table, { folder, seeds: count, fingerprint });
    const { missing } = profile;
    if (args.json) console.log(JSON.stringify({ profile: name, table: args.table, ...planned, missing }));
    else for (const line of plannedLines(profile, planned)) console.log(line);
    return;
  }
  requireFiles(profile);
  const progress = openReproductionProgress(args.json);
  const { signal, release } = listenForStop((message) => progress.show({ kind: 'note', message }));
  let made: ReproducedTable;
  try {
    made = await reproduceTable(profile, args.table, table, {
      folder,
      seeds: count,
      fingerprint,
      ...workers,
      emit: (event) => progress.show(event),
      signal,
    });
  } finally {
    release();
    progress.close();
  }
  const report = reportOn([made.folder]);
  if (!args.json) console.log(`${report.text}\nreport  ${showPath(report.path)}`);
}

export const reproduceCommand: CommandModule<object, ReproduceArguments> = {
  command: 'reproduce <table>',
  describe: "Make one of the paper's tables again: train, evaluate, compare; goes on where it was stopped",
  builder: (yargs): Argv<ReproduceArguments> =>
    yargs
      .positional('table', {
        type: 'string',
        demandOption: true,
        describe:
          'A table of the profile: instruct or tasks (the methods side by side), beta (the weight of the on-policy side), dynamics (distances by step), or one of your own',
      })
      .option('profile', {
        ...TEXT,
        demandOption: true,
        describe:
          'Models and data: mini, smollm2, gpt2, openllama; for tasks t5-samsum, t5-iwslt17, t5-strategyqa; or a YAML file',
      })
      .option('out', { ...TEXT, describe: 'Folder; default reproductions/PROFILE' })
      .option('seeds', { ...NUMBER, describe: "Training seeds; default the profile's" })
      .option('jobs', {
        ...NUMBER,
        describe:
          'Stages at a time; default one a device, on the CPU one for `worker.threads` cores, at most 8',
      })
      .option('devices', { ...TEXT, describe: 'cpu, or for example cuda:0,cuda:1; default the run’s' })
      .option('set', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [] as string[],
        describe: 'Override a key of the run: a.b.c=VALUE; may be repeated',
      })
      .option('dry-run', {
        type: 'boolean',
        default: false,
        describe: 'List every stage with its cost, and the files needed; start nothing',
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'Events as JSON lines on stdout, or the plan as one object',
      })
      .example(
        '$0 reproduce instruct --profile mini --seeds 10',
        'every method but opd, on the built-in tasks',
      )
      .example('$0 reproduce instruct --profile gpt2 --dry-run', 'what it would take'),
  handler: reproduce,
};
