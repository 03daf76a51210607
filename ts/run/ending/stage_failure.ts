import { existsSync } from 'node:fs';
import { types } from 'node:util';
import { AmmdError, isDiskFull } from '../../common/errors.js';
import { showPath } from '../../config/files.js';
import { WireError, WorkerFailure } from '../../wire/errors.js';
import { RunError } from '../errors.js';
import type { RunFolder } from '../folder/run_folder.js';

/** What another configuration mends, in another run: what is trained cannot change within one. */
const OF_CONFIGURATION: ReadonlySet<WireError['code']> = new Set([
  'invalid_argument',
  'unsupported',
  'incompatible_vocabulary',
]);

function hintOn(cause: Error, folder: RunFolder): string {
  const resume = `with: ammd resume ${showPath(folder.path)}`;
  const config = showPath(folder.config);
  if (cause instanceof WorkerFailure) return `go on ${resume}`;
  // The failure of a request is also that of all sent behind it, which may be heard of first.
  const first = cause.cause instanceof WireError ? cause.cause : cause;
  const code = first instanceof WireError ? first.code : null;
  if (code !== null && OF_CONFIGURATION.has(code))
    return `a run trains one thing; mend a copy of ${config} and start another run with: ammd train`;
  if (code === 'over_budget') return `change it under \`worker\` in ${config}, and go on ${resume}`;
  return `when that is mended, go on ${resume}`;
}

/** What a stage failed with, without how to go on with its run alone. */
export const causeOf = (error: unknown): unknown =>
  error instanceof RunError && error.code === 'stage_failed' ? error.cause : error;

/** Says which stage failed and how to go on; what can be gone on from keeps its folder. */
export function stageFailure(cause: unknown, stage: string, folder: RunFolder): unknown {
  const isKnown = cause instanceof AmmdError || (types.isNativeError(cause) && isDiskFull(cause));
  if (!isKnown || cause instanceof RunError) return cause;
  const stays = existsSync(folder.manifest) || cause instanceof WorkerFailure;
  const hint = stays ? { hint: hintOn(cause, folder) } : {};
  return new RunError('stage_failed', `stage ${stage}: ${cause.message}`, { cause, ...hint });
}
