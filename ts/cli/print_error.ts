import { AmmdError } from '../common/errors.js';
import { WireError } from '../wire/errors.js';

/** The causes of an error of ours that say more than the error itself, outermost first. */
function causes(error: AmmdError): readonly string[] {
  const cause = error.cause;
  if (!(cause instanceof Error) || error.message.includes(cause.message)) return [];
  return [`  because: ${cause.message}`, ...(cause instanceof AmmdError ? causes(cause) : [])];
}

function details(error: unknown): readonly string[] {
  if (error instanceof WireError && error.code === 'internal' && error.detail) return [error.detail];
  return error instanceof AmmdError ? details(error.cause) : [];
}

/** An error as people read it: what and where, why, and the remedy. A defect of ours shows its stack. */
export function describeError(error: unknown): string {
  if (!(error instanceof AmmdError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `ammd: this is a defect of the program, please report it:\n${text}`;
  }
  const hints = [error, error.cause].flatMap((each) =>
    each instanceof AmmdError && each.hint !== undefined ? [`  ${each.hint}`] : [],
  );
  return [`ammd: ${error.message}`, ...causes(error), ...details(error), ...new Set(hints)].join('\n');
}

/** The same for scripts, as one JSON line. */
export function errorAsJson(error: unknown): string {
  const known = error instanceof AmmdError;
  return JSON.stringify({
    kind: 'error',
    code: known ? error.code : 'defect',
    message: error instanceof Error ? error.message : String(error),
    ...(known && error.hint !== undefined ? { hint: error.hint } : {}),
  });
}
