import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { resolveConfig } from '../config/resolve.js';
import type { ModelConfig, RunConfig } from '../config/schema.js';
import { planRun } from '../plan/run.js';
import { RunError } from './errors.js';
import { openRunFolder, RunFolder } from './run_folder.js';

/** A model to evaluate or to generate with: the student of a run's stage, or any model by its source. */
export interface ModelTarget {
  readonly source: string;
  /** For rows and messages: the stage, or the source itself. */
  readonly name: string;
  /** Of the run, where the target is one: its datasets and templates apply. */
  readonly config: RunConfig | null;
  /** The stage's settings, where the target is a run. */
  readonly stage: string | null;
}

function isRun(target: string): boolean {
  return existsSync(new RunFolder(target).config) && existsSync(new RunFolder(target).manifest);
}

function ofRun(target: string, wanted: string | undefined): ModelTarget {
  const folder = openRunFolder(target);
  const { config, hash } = resolveConfig(folder.config);
  const stages = planRun({ config, hash }).stages.map(({ name }) => name);
  const done = stages.filter((name) => existsSync(folder.stage(name).done));
  const stage = wanted ?? done.at(-1);
  if (stage === undefined || !done.includes(stage))
    throw new RunError(
      'run_not_found',
      stage === undefined ? `no stage of ${target} is done` : `${target} has no finished stage ${stage}`,
      { hint: `finished stages: ${done.join(', ') || 'none'}; continue the run with: ammd resume ${target}` },
    );
  return { source: path.resolve(folder.stage(stage).student), name: stage, config, stage };
}

/** `target` is a run folder (with `stage`, or its last finished one), a model folder, a hub name, gguf:… or package:…. */
export function findModel(target: string, stage: string | undefined): ModelTarget {
  if (isRun(target)) return ofRun(target, stage);
  if (existsSync(target) && !readdirSync(target).includes('config.json'))
    throw new RunError('run_not_found', `${target} holds neither a run nor a model`, {
      hint: 'a run folder has config.yaml and manifest.json, a model folder config.json',
    });
  return {
    source: existsSync(target) ? path.resolve(target) : target,
    name: target,
    config: null,
    stage: null,
  };
}

/** The target as the worker loads it. */
export function targetModel(
  target: ModelTarget,
  dtype: ModelConfig['dtype'],
): Omit<ModelConfig, 'layers' | 'arch' | 'seed'> & { readonly seed: number } {
  return { source: target.source, init: 'pretrained', seed: 0, dtype, trust_remote_code: false };
}
