import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll } from '@jest/globals';
import { ConfigError } from '../../../ts/config/errors.js';
import { resolveConfig } from '../../../ts/config/resolve.js';

const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true });
});

/** A folder with the given files, until the importing test file is done. */
export function workspace(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'ammd-config-'));
  made.push(folder);
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return folder;
}

/** A small valid run; tests change it by overrides. Its AMMD keeps its numbers when a search finds better ones. */
export const RUN = `name: demo
data:
  train: {source: "builtin:microtasks", limit: 100}
  check: {source: "builtin:microtasks", split: validation}
models:
  big: {source: "builtin:llama", init: random, arch: {hidden_size: 32, layers: 2, heads: 4, kv_heads: 2, intermediate_size: 64}}
  tiny: {source: "builtin:llama", init: random, arch: {hidden_size: 16, layers: 1, heads: 2, kv_heads: 2, intermediate_size: 32}}
stage_defaults:
  data: {train: train, validation: check}
  training: {steps: 20, batch_size: 8, lr: {kind: cosine, from: 1e-3, to: 1e-5}}
  rollout: {sampling: {max_new_tokens: 16}}
stages:
  teacher: {student: big, method: sft}
  student:
    student: tiny
    teacher: {stage: teacher}
    method:
      extends: ammd
      sources: {off: {share: 0.5}, on: {share: 0.5, mixture: 0}}
      on_policy_weight: 0.5
      terms: {anchor: {weight: 0.1}}
      adversary: {lr_ratio: 1}
`;

export function resolveText(text: string, overrides: readonly string[] = []) {
  return resolveConfig('run.yaml', overrides, workspace({ 'run.yaml': text }));
}

export const resolveRun = (...overrides: readonly string[]) => resolveText(RUN, overrides);

/** The configuration error of an action; fails when there is none. */
export function configErrorOf(action: () => unknown): ConfigError {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('expected a ConfigError');
}

export const problemsOf = (...overrides: readonly string[]) =>
  configErrorOf(() => resolveRun(...overrides)).issues.map((issue) => `${issue.path}: ${issue.message}`);
