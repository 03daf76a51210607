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

/**
 * Runs what `train`, `resume` and `start` ask for with the view of its events, and prints the tables and where
 * everything is.
 */
export async function showRun(
  json: boolean,
  run: (options: RunOptions) => Promise<RunFolder>,
): Promise<void> {
  const progress = openProgress({ json });
  const emit = (event: RunEvent) => progress.show(event);
  let tables = '';
  try {
    const folder = await run({
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
  }
}
