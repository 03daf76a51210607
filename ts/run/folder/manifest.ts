import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus, hostname, platform, release, totalmem } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../../common/atomic_file.js';
import { packageRoot } from '../../config/files.js';
import type { RunConfig } from '../../config/schema.js';
import type { PartPlan, RunPlan, StagePlan } from '../../plan/types.js';
import { RunError } from '../errors.js';
import type { LoadedStage } from '../loaded/loaded_stage.js';
import { importOf } from './import_manifest.js';

const factsSchema = z.record(z.string(), z.record(z.string(), z.union([z.string(), z.number()])));

const stageManifestSchema = z.strictObject({
  method: z.string(),
  /** Seeds derived from the root, by what they are for. */
  seeds: z.record(z.string(), z.number()),
  models: factsSchema,
  data: factsSchema,
});
export type StageManifest = Readonly<z.infer<typeof stageManifestSchema>>;

const runManifestSchema = z.strictObject({
  format: z.literal(1),
  name: z.string(),
  config_hash: z.string(),
  seed: z.number(),
  created: z.string(),
  /** Each time the run was continued. */
  resumed: z.array(z.string()),
  versions: z.record(z.string(), z.string()),
  hardware: z.record(z.string(), z.union([z.string(), z.number()])),
  /** Commit of this program's clone, with `+changes` when files differ; null for an installed package. */
  git_commit: z.string().nullable(),
  stages: z.record(z.string(), stageManifestSchema),
});
/** What a reader needs to judge and repeat a run; grows as stages are loaded. */
export type RunManifest = Readonly<z.infer<typeof runManifestSchema>>;

/** Who the worker is, as its hello and its configuration said. */
export interface WorkerIdentity {
  readonly packages: Readonly<Record<string, string>>;
  readonly devices: readonly string[];
  readonly device: string;
  readonly threads: number;
}

function git(...args: readonly string[]): string | null {
  try {
    return execFileSync('git', ['-C', packageRoot(), ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return null;
  }
}

function gitCommit(): string | null {
  // An installed package may lie inside somebody else's repository.
  if (!existsSync(path.join(packageRoot(), '.git'))) return null;
  const commit = git('rev-parse', 'HEAD');
  if (commit === null) return null;
  return git('status', '--porcelain', '--untracked-files=no') === '' ? commit : `${commit}+changes`;
}

export function newManifest(plan: RunPlan, version: string, worker: WorkerIdentity, now: Date): RunManifest {
  return {
    format: 1,
    name: plan.name,
    config_hash: plan.hash,
    seed: plan.seed,
    created: now.toISOString(),
    resumed: [],
    versions: { ammd: version, node: process.versions.node, ...worker.packages },
    hardware: {
      host: hostname(),
      system: `${platform()} ${release()}`,
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memory_bytes: totalmem(),
      device: worker.device,
      devices: worker.devices.join(', '),
      threads: worker.threads,
    },
    git_commit: gitCommit(),
    stages: {},
  };
}

const adapterSeeds = (stage: StagePlan) =>
  Object.entries(stage.adapterSeeds).map(([name, seed]) => [`adapters:${name}`, seed] as const);

/** Seeds of a part's responses, and, where they are chosen, of model or dataset and of the rows replayed. */
function partSeeds({ part, from, seed, coinSeed, replay }: PartPlan): readonly (readonly [string, number])[] {
  return [
    [`rollout:${part}`, seed],
    ...(from === 'dataset' ? [] : [[`coin:${part}`, coinSeed] as const]),
    ...(replay === null ? [] : [[`replay:${part}`, replay.seed] as const]),
  ];
}

/** Seeds a stage derives from the root, by what they are for. */
function seedsOf(stage: StagePlan): Record<string, number> {
  const named = [
    ['student', stage.student.seed] as const,
    ...(stage.training.lora === null ? [] : adapterSeeds(stage)),
    ...stage.parts.flatMap(partSeeds),
    ...stage.critics.map((critic) => [`critic:${critic.name}`, critic.seed] as const),
    ...Object.entries(stage.orderSeeds).map(([name, seed]) => [`order:${name}`, seed] as const),
  ];
  return Object.fromEntries(named);
}

interface Admission {
  /** Datasets of the run's configuration: a file that `ammd import` wrote is named as such. */
  readonly data: RunConfig['data'];
  /** From a checkpoint: the commits of hub models stay those that the stage began with. */
  readonly goesOn: boolean;
}

function withStage(
  manifest: RunManifest,
  stage: StagePlan,
  loaded: LoadedStage,
  { data, goesOn }: Admission,
): RunManifest {
  const before = goesOn ? (manifest.stages[stage.name]?.models ?? {}) : {};
  const models = Object.entries({ student: loaded.student, teacher: loaded.teacher }).flatMap(
    ([role, model]) => {
      if (model === null) return [];
      const { eos_ids: _eos, notes: _notes, ...facts } = model;
      const began = before[role]?.revision;
      const { revision: now } = facts;
      const commits =
        began === undefined || now === undefined || began === now
          ? {}
          : { revision: began, resumed_revision: now };
      return [[role, { ...facts, ...commits }] as const];
    },
  );
  const datasets = Object.entries(loaded.datasets).map(
    ([name, { groups: _groups, notes: _notes, ...facts }]) =>
      [name, { ...facts, ...importOf(data[name]?.source ?? '') }] as const,
  );
  const entry: StageManifest = {
    method: stage.method,
    seeds: seedsOf(stage),
    models: Object.fromEntries(models),
    data: Object.fromEntries(datasets),
  };
  return { ...manifest, stages: { ...manifest.stages, [stage.name]: entry } };
}

/**
 * Whether a stage goes on with the data that it began with.
 *
 * @throws RunError `config_changed` naming the dataset.
 */
function requireSameData(manifest: RunManifest, stage: string, { datasets }: LoadedStage): void {
  for (const [name, { content_hash }] of Object.entries(manifest.stages[stage]?.data ?? {})) {
    if (datasets[name]?.content_hash === content_hash) continue;
    throw new RunError('config_changed', `dataset ${name} is no longer what stage ${stage} began with`, {
      hint: 'put its files back as they were, or start another run: ammd train (a dataset of the hub without a revision may have changed there, and another version of ammd may read it otherwise)',
    });
  }
}

/**
 * What to say of models of the hub that have another commit than when the stage began. A note, for most commits change no
 * weights, and those of a student are in its checkpoint.
 */
function changedModels(manifest: RunManifest, stage: string, loaded: LoadedStage): readonly string[] {
  const before = manifest.stages[stage]?.models ?? {};
  return (['student', 'teacher'] as const).flatMap((role) => {
    const [then, now] = [before[role]?.revision, loaded[role]?.revision];
    return then === undefined || now === undefined || then === now
      ? []
      : `the ${role} is at commit ${now} of its hub repository, and was at ${then} when the stage began; pin it with @${then} in another run`;
  });
}

/**
 * The manifest with a stage that has loaded, and what to say of it.
 *
 * @throws RunError `config_changed` where the stage goes on with other data than it began with.
 */
export function admit(
  manifest: RunManifest,
  stage: StagePlan,
  loaded: LoadedStage,
  admission: Admission,
): { readonly manifest: RunManifest; readonly notes: readonly string[] } {
  const { goesOn } = admission;
  if (goesOn) requireSameData(manifest, stage.name, loaded);
  return {
    manifest: withStage(manifest, stage, loaded, admission),
    notes: goesOn ? changedModels(manifest, stage.name, loaded) : [],
  };
}

/**
 * The manifest of a run that goes on, with this resumption noted.
 *
 * @throws RunError `manifest_invalid`.
 */
export function readManifest(file: string, now: Date): RunManifest {
  try {
    const manifest = runManifestSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    return { ...manifest, resumed: [...manifest.resumed, now.toISOString()] };
  } catch (cause) {
    throw new RunError('manifest_invalid', `${file} is no manifest of a run`, {
      cause,
      hint: 'it was changed by hand or written by another version; restore it to resume the run',
    });
  }
}

export function writeManifest(file: string, manifest: RunManifest): void {
  writeJsonAtomic(file, manifest);
}
