import { z } from 'zod';
import { packageRoot } from '../config/files.js';
import type { Domain, TrialRow } from '../metrics/sweep_rows.js';
import { type DialogueProcess, startDialogue } from '../worker/dialogue_process.js';
import type { ResolvedSweep } from './resolve.js';
import { domainsOf, type Parameters, type ParameterValue } from './space.js';
import type { SweepFolder } from './sweep_folder.js';

/** A trial that has its parameters. */
export interface Trial {
  readonly number: number;
  readonly parameters: Parameters;
}

/** The search: what to try next, and what to stop. Its answers do not depend on how often it was killed in between. */
export interface Study {
  /** Trials of before, by number: those that ended, and those that were running. */
  readonly ended: readonly number[];
  readonly running: readonly Trial[];
  ask(): Promise<Trial>;
  /** @returns whether the trial is to be stopped. */
  report(number: number, step: number, value: number): Promise<boolean>;
  tell(row: Pick<TrialRow, 'number' | 'state' | 'value' | 'reason'>): Promise<void>;
  /** Shares of the parameters in what is good, null while too few trials are complete. */
  weigh(): Promise<Readonly<Record<string, number>> | null>;
  close(): Promise<void>;
}

const parametersSchema = z.record(z.string(), z.union([z.number(), z.string()]));
const openedSchema = z.strictObject({
  trials: z.array(z.strictObject({ number: z.int(), running: z.boolean(), parameters: parametersSchema })),
});
const askedSchema = z.strictObject({ number: z.int(), parameters: parametersSchema });
const reportedSchema = z.strictObject({ prune: z.boolean() });
const toldSchema = z.strictObject({});
const weighedSchema = z.strictObject({ importances: z.record(z.string(), z.number()).nullable() });

type Domains = Readonly<Record<string, Domain>>;

/** Values are chosen as texts: the search compares them, and they may be anything. */
const toStudy = (domains: Domains) =>
  Object.fromEntries(
    Object.entries(domains).map(([path, domain]) => [
      path,
      domain.kind === 'values'
        ? { ...domain, values: domain.values.map((value) => JSON.stringify(value)) }
        : domain,
    ]),
  );

function fromStudy(domains: Domains, parameters: z.output<typeof parametersSchema>): Parameters {
  const entries = Object.entries(parameters).map(([path, value]): [string, ParameterValue] => [
    path,
    domains[path]?.kind === 'values' ? (JSON.parse(String(value)) as ParameterValue) : value,
  ]);
  return Object.fromEntries(entries);
}

function openingOf({ config, objective }: ResolvedSweep, journal: string) {
  const { kind, seed, startup_trials } = config.search;
  const { pruning } = config;
  return {
    kind: 'open',
    journal,
    direction: objective.mode === 'max' ? 'maximize' : 'minimize',
    space: toStudy(domainsOf(config.space)),
    search: { kind, seed, startup_trials },
    pruning:
      pruning === null ? null : { min_steps: pruning.min_steps, reduction_factor: pruning.reduction_factor },
  };
}

/**
 * Starts the search of a sweep, or goes on with it: Optuna, in a Python process of its own.
 *
 * @throws WorkerFailure when the process does not start.
 */
export async function openStudy(
  resolved: ResolvedSweep,
  folder: SweepFolder,
  python: string,
): Promise<Study> {
  const process = await startDialogue({
    name: 'the search (Optuna)',
    setUp: 'install what it needs with: npx ammd setup --with sweep',
    command: [python, '-m', 'py_worker.sweep.study'],
    packageRoot: packageRoot(),
    logFile: folder.studyLog,
  });
  try {
    return await converse(process, resolved, folder.study);
  } catch (error) {
    await process.close();
    throw error;
  }
}

async function converse(process: DialogueProcess, resolved: ResolvedSweep, journal: string): Promise<Study> {
  const domains = domainsOf(resolved.config.space);
  const ask = async <Answer extends z.ZodType>(schema: Answer, question: object): Promise<z.output<Answer>> =>
    schema.parse(JSON.parse(await process.ask(JSON.stringify(question))));
  const { trials } = await ask(openedSchema, openingOf(resolved, journal));
  return {
    ended: trials.filter(({ running }) => !running).map(({ number }) => number),
    running: trials
      .filter(({ running }) => running)
      .map(({ number, parameters }) => ({ number, parameters: fromStudy(domains, parameters) })),
    ask: async () => {
      const { number, parameters } = await ask(askedSchema, { kind: 'ask' });
      return { number, parameters: fromStudy(domains, parameters) };
    },
    report: async (number, step, value) =>
      (await ask(reportedSchema, { kind: 'report', number, step, value })).prune,
    tell: async ({ number, state, value, reason }) =>
      void (await ask(toldSchema, { kind: 'tell', number, state, value, reason })),
    weigh: async () => (await ask(weighedSchema, { kind: 'weigh' })).importances,
    close: async () => void (await process.close()),
  };
}
