import { basename, dirname } from 'node:path';
import { canonicalJson } from '../../common/hash.js';
import { groupBy } from '../../metrics/aggregate.js';
import type { RunData } from '../read/run.js';

/** Runs whose configurations differ in nothing but the seed. */
export interface RunGroup {
  /** Unique among the groups. */
  readonly label: string;
  readonly runs: readonly RunData[];
}

/**
 * Groups in the order in which the first run of each was given. A run without a configuration, and one whose seed
 * another of its group has, is alone: it tells nothing of the spread over seeds.
 */
export function groupRuns(runs: readonly RunData[]): RunGroup[] {
  const groups = [...groupBy(runs.map(keyed), ({ key }) => key).values()].map((own) =>
    own.map(({ run }) => run),
  );
  const labels = distinctLabels(groups);
  return groups.map((own, at) => ({ label: labels[at] ?? '', runs: own }));
}

const seedOf = (run: RunData): number | undefined => run.config?.value.seed;

export function seedsOf({ runs }: RunGroup): string {
  const seeds = runs.map((run) => seedOf(run) ?? '–');
  return seeds.join(', ');
}

function keyed(run: RunData, index: number, runs: readonly RunData[]): { run: RunData; key: string } {
  const identity = identityOf(run);
  if (identity === undefined) return { run, key: `alone ${index}` };
  const twins = runs.filter((other) => identityOf(other) === identity && seedOf(other) === seedOf(run));
  return { run, key: twins[0] === run ? identity : `alone ${index}` };
}

const identities = new WeakMap<RunData, string>();

/** What is trained but for the seed, without names, and where it runs and who watches. */
function identityOf(run: RunData): string | undefined {
  if (run.config === null) return undefined;
  const known = identities.get(run);
  if (known !== undefined) return known;
  const {
    seed: _seed,
    name: _name,
    worker: _worker,
    tracking: _tracking,
    max_hours: _hours,
    ...rest
  } = run.config.value;
  // A stage of a store whose seed is not its run's names that one as the seed of the teacher's responses.
  const unseeded = (key: string, value: unknown) => (key === 'responses_seed' ? undefined : value);
  const compared: unknown = JSON.parse(JSON.stringify([rest, Object.keys(rest.stages)], unseeded));
  const identity = canonicalJson(compared);
  identities.set(run, identity);
  return identity;
}

/** Names of configurations where they tell the groups apart, otherwise methods, otherwise folders. */
function distinctLabels(groups: readonly (readonly RunData[])[]): string[] {
  const first = groups.flatMap((runs) => runs.slice(0, 1));
  const attempts = [
    groups.map((runs) => commonName(runs.map(({ name }) => name))),
    // Stages of a store are called alike; what trained them tells them apart.
    first.map(({ name, stages }) => (stages.length === 1 ? (stages[0]?.method ?? name) : name)),
    first.map(({ folder }) => basename(folder)),
    first.map(({ folder }) => `${basename(dirname(folder))}/${basename(folder)}`),
  ];
  const distinct = attempts.find((labels) => new Set(labels).size === labels.length);
  return distinct ?? first.map(({ folder }, at) => `${at + 1}: ${folder}`);
}

/** What names have in common at their start, without what led over to the seed: `kd-seed-1`, `kd-seed-2` → `kd`. */
function commonName(names: readonly string[]): string {
  const [first = ''] = names;
  if (names.every((name) => name === first)) return first;
  const end = [...first].findIndex((letter, at) => names.some((name) => name[at] !== letter));
  const common = first.slice(0, end < 0 ? first.length : end).replace(/[-_. ]*(seed)?[-_. =]*$/i, '');
  return common === '' ? first : common;
}
