import { isDeepStrictEqual } from 'node:util';
import type { Findings } from '../findings.js';
import { DEFAULT_ROLLOUT, type RolloutConfig, type RunConfig, type StageConfig } from '../schema.js';

const generates = ({ method }: StageConfig) =>
  Object.values(method.sources).some(({ from }) => from !== 'dataset');

/** Settings by their path below `rollout`, but for the engine, which draws an evaluation's responses too. */
function settingsOf({ sampling, engine: _, ...others }: RolloutConfig): ReadonlyMap<string, unknown> {
  const drawn = Object.entries(sampling).map(([key, value]): [string, unknown] => [`sampling.${key}`, value]);
  return new Map<string, unknown>([...drawn, ...Object.entries(others)]);
}

/**
 * Settings of rollouts in a run that generates nothing. Where one of its stages does, defaults for all stages may be
 * meant for that one.
 */
export function checkRollouts({ stages }: RunConfig, findings: Findings): void {
  if (Object.values(stages).some(generates)) return;
  const defaults = settingsOf(DEFAULT_ROLLOUT);
  for (const [name, { rollout }] of Object.entries(stages)) {
    for (const [key, value] of settingsOf(rollout)) {
      if (isDeepStrictEqual(value, defaults.get(key))) continue;
      findings.warn(
        ['stages', name, 'rollout', ...key.split('.')],
        'no effect: no method of the run generates anything',
      );
    }
  }
}
