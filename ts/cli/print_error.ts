import { types } from 'node:util';
import { AmmdError, isDiskFull, systemCodeOf } from '../common/errors.js';
import { WireError } from '../wire/errors.js';
import { EXIT, exitCodeOf } from './exit_codes.js';

/** The causes of an error of ours that say more than the error itself, outermost first. */
function causes(error: AmmdError): readonly string[] {
  const cause = error.cause;
  if (!types.isNativeError(cause) || error.message.includes(cause.message)) return [];
  return [`  because: ${cause.message}`, ...(cause instanceof AmmdError ? causes(cause) : [])];
}

/** The worker's traceback, where the error is a defect of it. */
function traceback(error: unknown): readonly string[] {
  if (error instanceof WireError && error.detail !== undefined && exitCodeOf(error) === EXIT.defect)
    return [error.detail];
  return error instanceof AmmdError ? traceback(error.cause) : [];
}

const DISK_FULL = '  free some space on that disk, then go on or try again';

function hints(error: unknown): readonly string[] {
  if (isDiskFull(error)) return [DISK_FULL];
  if (!(error instanceof AmmdError)) return [];
  return [...(error.hint === undefined ? [] : [`  ${error.hint}`]), ...hints(error.cause)];
}

const messageOf = (error: unknown) => (types.isNativeError(error) ? error.message : String(error));

const DEFECT = 'this is a defect of the program, please report it';

/** An error as people read it: what and where, why, and the remedy. A defect of ours shows its stack. */
export function describeError(error: unknown): string {
  if (systemCodeOf(error) !== undefined) return [`ammd: ${messageOf(error)}`, ...hints(error)].join('\n');
  if (!(error instanceof AmmdError)) {
    const stack = types.isNativeError(error) ? error.stack : undefined;
    return `ammd: ${DEFECT}:\n${stack ?? messageOf(error)}`;
  }
  const defect = exitCodeOf(error) === EXIT.defect ? [`  ${DEFECT}, with the lines above`] : [];
  const lines = [`ammd: ${error.message}`, ...causes(error), ...traceback(error)];
  return [...lines, ...new Set(hints(error)), ...defect].join('\n');
}

/** The same for scripts, as one JSON line. */
export function errorAsJson(error: unknown): string {
  const known = error instanceof AmmdError;
  const [hint] = hints(error);
  return JSON.stringify({
    kind: 'error',
    code: known ? error.code : (systemCodeOf(error) ?? 'defect'),
    exit_status: exitCodeOf(error),
    message: messageOf(error),
    ...(hint === undefined ? {} : { hint: hint.trim() }),
  });
}
