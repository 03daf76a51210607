/** What a caller may do about an error; `code` is stable and documented, `message` is for people. */
export interface ErrorOptionsWithHint {
  readonly cause?: unknown;
  /** The remedy, as one sentence. Printed under the message. */
  readonly hint?: string;
}

/** Root of every error this package throws on purpose. Anything else is a defect. */
export class AmmdError extends Error {
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, options: ErrorOptionsWithHint = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
  }
}
