import { EXIT } from './exit_codes.js';

/**
 * npm passes a Ctrl-C on to its child, to which the terminal has sent it already: where the script's shell has become
 * this process (bash does that), two signals come for one wish.
 */
const SAME_WISH_MS = 500;

export interface StopSignal {
  /** Aborted by the first SIGINT, SIGTERM, or SIGHUP of a terminal. */
  readonly signal: AbortSignal;
  /** Stops listening. */
  readonly release: () => void;
}

/**
 * SIGINT and SIGTERM ask for a clean stop; a second one ends the process at once. SIGHUP asks for one where the output
 * goes to a terminal, which is gone then, and for nothing elsewhere: `nohup` has it ignored, which Node undoes.
 */
export function listenForStop(
  say: (message: string) => void,
  exit: (status: number) => void = process.exit,
  onTerminal: boolean = process.stdout.isTTY,
): StopSignal {
  const controller = new AbortController();
  let asked = Number.NEGATIVE_INFINITY;
  const ask = (signal: NodeJS.Signals) => {
    const now = performance.now();
    if (!controller.signal.aborted) {
      asked = now;
      say(`${signal}: stopping after this step, with a checkpoint; once more stops at once`);
      controller.abort();
    } else if (now - asked > SAME_WISH_MS) exit(EXIT.interrupted);
  };
  const hangUp = (signal: NodeJS.Signals) => {
    if (onTerminal && !controller.signal.aborted) ask(signal);
  };
  process.on('SIGINT', ask);
  process.on('SIGTERM', ask);
  process.on('SIGHUP', hangUp);
  return {
    signal: controller.signal,
    release: () => {
      process.off('SIGINT', ask);
      process.off('SIGTERM', ask);
      process.off('SIGHUP', hangUp);
    },
  };
}
