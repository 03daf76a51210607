import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { syncFolder, writeFileAtomic, writeJsonAtomic } from '../../common/atomic_file.js';
import { sha256 } from '../../common/hash.js';
import { makeFolder } from '../../common/make_folder.js';
import { showPath } from '../../config/files.js';
import type { WorkerClient } from '../../dispatch/client.js';
import { RunError } from '../errors.js';
import { journalOffsetsSchema } from '../rows/stage_journals.js';

const bestSchema = z.strictObject({ step: z.int().min(0), value: z.number() });
/** The evaluation that decides which student is exported. */
export type Best = Readonly<z.infer<typeof bestSchema>>;

const controllerStateSchema = z.strictObject({
  /** StageState of the schedule; opaque here. */
  schedule: z.unknown(),
  best: bestSchema.nullable(),
  offsets: journalOffsetsSchema,
});
/** All that the controller must know to go on after a step. */
export type ControllerState = Readonly<z.infer<typeof controllerStateSchema>>;

const manifestSchema = z.strictObject({
  format: z.literal(1),
  stage: z.string(),
  step: z.int().min(0),
  config_hash: z.string(),
  controller_sha256: z.string(),
  files: z.array(z.strictObject({ name: z.string(), bytes: z.int().min(0), sha256: z.string() })),
});
export type CheckpointManifest = z.infer<typeof manifestSchema>;

/** A durable checkpoint: both parts are on disk and agree with their hashes. */
export interface Checkpoint {
  readonly folder: string;
  readonly manifest: CheckpointManifest;
  readonly controller: ControllerState;
}

const folderName = (step: number) => `step-${String(step).padStart(8, '0')}`;
const stepOf = (folder: string) => Number(path.basename(folder).slice('step-'.length));

/**
 * Writes a checkpoint between two steps. Resolves with `durable` unresolved: the worker has copied its state and
 * training may go on; `durable` resolves when the manifest, renamed last, is on disk.
 */
export async function writeCheckpoint(
  client: WorkerClient,
  checkpoints: string,
  about: { readonly stage: string; readonly step: number; readonly configHash: string },
  controller: ControllerState,
): Promise<{ readonly folder: string; readonly durable: Promise<void> }> {
  const folder = path.join(checkpoints, folderName(about.step));
  rmSync(folder, { recursive: true, force: true });
  makeFolder(folder);
  const name = `${about.stage}-${about.step}`;
  const text = JSON.stringify(controller);
  await client.call('stage_checkpoint', { checkpoint: name, dir: path.resolve(folder) });
  const commit = async () => {
    const { result } = await client.call('commit_checkpoint', { checkpoint: name });
    writeFileAtomic(path.join(folder, 'controller.json'), text);
    const manifest: CheckpointManifest = {
      format: 1,
      stage: about.stage,
      step: about.step,
      config_hash: about.configHash,
      controller_sha256: sha256(text),
      files: result.files,
    };
    writeJsonAtomic(path.join(folder, 'manifest.json'), manifest);
    syncFolder(checkpoints);
  };
  return { folder, durable: commit() };
}

/** @throws RunError `checkpoint_invalid` when the folder is no complete checkpoint. */
export function readCheckpoint(folder: string): Checkpoint {
  try {
    const manifest = manifestSchema.parse(
      JSON.parse(readFileSync(path.join(folder, 'manifest.json'), 'utf8')),
    );
    const text = readFileSync(path.join(folder, 'controller.json'), 'utf8');
    if (sha256(text) !== manifest.controller_sha256) throw new Error('controller.json has another hash');
    return { folder, manifest, controller: controllerStateSchema.parse(JSON.parse(text)) };
  } catch (cause) {
    throw new RunError('checkpoint_invalid', `${folder} is no complete checkpoint`, {
      cause,
      hint: 'it was cut off while being written, or changed afterwards; give another checkpoint',
    });
  }
}

function stepFolders(checkpoints: string): readonly string[] {
  if (!existsSync(checkpoints)) return [];
  return readdirSync(checkpoints)
    .filter((name) => /^step-\d{8,}$/.test(name))
    .map((name) => path.join(checkpoints, name));
}

/** Folders of durable checkpoints, newest first. A folder without manifest was cut off and does not count. */
export function listCheckpoints(checkpoints: string): readonly string[] {
  return stepFolders(checkpoints)
    .filter((folder) => existsSync(path.join(folder, 'manifest.json')))
    .sort((a, b) => stepOf(b) - stepOf(a));
}

export const passedOver = (folder: string, { message }: Error): string => `passed over ${folder}: ${message}`;

/** The checkpoints that are whole, newest first, each read only when it is asked for; `note` hears of the others. */
export function* readableCheckpoints(
  checkpoints: string,
  note: (message: string) => void,
): Generator<Checkpoint, void> {
  for (const folder of listCheckpoints(checkpoints)) {
    try {
      yield readCheckpoint(folder);
    } catch (error) {
      if (!(error instanceof RunError)) throw error;
      note(passedOver(folder, error));
    }
  }
}

/** @throws RunError `config_changed`: steps of another configuration are no beginning of this one's. */
export function requireConfig({ folder, manifest }: Checkpoint, configHash: string): void {
  if (manifest.config_hash === configHash) return;
  throw new RunError('config_changed', `${showPath(folder)} was written with another configuration`, {
    hint: "put the run's config.yaml back as it was",
  });
}

export function checkpointOf(checkpoints: string, step: number): string {
  return path.join(checkpoints, folderName(step));
}

/**
 * Deletes all but the best checkpoint and the newest `keep` up to `step`, while none is being written: also what was cut
 * off. Later ones were passed over when the run was resumed: they belong to a course that it has left, and would take the
 * place of those it can go on from.
 */
export function pruneCheckpoints(
  checkpoints: string,
  { keep, step, best }: { readonly keep: number; readonly step: number; readonly best: Best | null },
): void {
  const course = listCheckpoints(checkpoints).filter((folder) => stepOf(folder) <= step);
  const kept = new Set(course.slice(0, keep));
  if (best !== null) kept.add(checkpointOf(checkpoints, best.step));
  for (const folder of stepFolders(checkpoints)) {
    if (kept.has(folder)) continue;
    // The manifest goes first: a deletion that is cut off leaves no half checkpoint that looks whole.
    rmSync(path.join(folder, 'manifest.json'), { force: true });
    rmSync(folder, { recursive: true, force: true });
  }
}
