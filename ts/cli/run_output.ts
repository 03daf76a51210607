import { closeSync, openSync, writeSync } from 'node:fs';
import type { RunEvent } from '../metrics/events.js';
import { buildReport } from '../report/build.js';
import type { RunOptions } from '../run/run.js';
import type { RunFolder } from '../run/run_folder.js';
import { openProgress } from './progress.js';

/** SIGINT and SIGTERM ask for a clean stop; a second one ends the process at once. */
function stopSignal(say: (message: string) => void): AbortSignal {
  const controller = new AbortController();
  const ask = (signal: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(130);
    say(`${signal}: stopping after this step, with a checkpoint; once more stops at once`);
    controller.abort();
  };
  process.on('SIGINT', ask);
  process.on('SIGTERM', ask);
  return controller.signal;
}

export const TRACE = 'Append every request and reply to this file, a JSON line each; to see what hangs';

/** Writes at once: the last line is there when either process is killed. */
function openTrace(
  file: string | undefined,
): Pick<RunOptions, 'messageLog'> & { readonly close: () => void } {
  if (file === undefined) return { close: () => {} };
  const descriptor = openSync(file, 'a');
  return {
    messageLog: (entry) => void writeSync(descriptor, `${JSON.stringify(entry)}\n`),
    close: () => closeSync(descriptor),
  };
}

/**
 * Runs what `train`, `resume` and `start` ask for with the view of its events, and prints the tables and where
 * everything is.
 */
export async function showRun(
  { json, trace }: { readonly json: boolean; readonly trace: string | undefined },
  run: (options: RunOptions) => Promise<RunFolder>,
): Promise<void> {
  const progress = openProgress({ json });
  const { close: closeTrace, ...messages } = openTrace(trace);
  const emit = (event: RunEvent) => progress.show(event);
  let tables = '';
  try {
    const folder = await run({
      ...messages,
      emit,
      signal: stopSignal((message) => emit({ kind: 'note', message })),
      report: ({ path }) => {
        tables = buildReport(path).text;
      },
    });
    progress.close();
    if (!json) console.log(`${tables}\nrun folder  ${folder.path}\nreport      ${folder.report}`);
  } finally {
    progress.close();
    closeTrace();
  }
}
