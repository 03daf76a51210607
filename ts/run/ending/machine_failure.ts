import { AmmdError, systemCodeOf } from '../../common/errors.js';
import type { EndpointError, WireError, WorkerFailure } from '../../wire/errors.js';
import type { RunError } from '../errors.js';

type Code = (EndpointError | RunError | WireError | WorkerFailure)['code'];

/** Failures of which no single run is to blame: all others would fail too, and are worth another try once it is mended. */
const OF_THE_MACHINE: ReadonlySet<string> = new Set<Code>([
  'python_missing',
  'package_missing',
  'worker_start',
  'worker_unusable', // in a pool, whose workers share their settings
  'endpoint',
  'checkpoint_error', // a full disk, mostly
  'run_locked',
]);

/** Whether an error is of the machine: its environment, its disk, its file system. */
export function isOfTheMachine(error: unknown): boolean {
  if (systemCodeOf(error) !== undefined) return true;
  return error instanceof AmmdError && (OF_THE_MACHINE.has(error.code) || isOfTheMachine(error.cause));
}
