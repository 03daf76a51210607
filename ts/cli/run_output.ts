import { closeSync, openSync, writeSync } from 'node:fs';
import { z } from 'zod';
import { maxHours as maxHoursSchema } from '../config/schema.js';
import type { RunEvent } from '../metrics/events.js';
import { buildReport } from '../report/build.js';
import type { RunFolder } from '../run/folder/run_folder.js';
import type { RunOptions } from '../run/run.js';
import { parseOptions, type RunArguments } from './options.js';
import { openProgress } from './progress.js';
import { listenForStop } from './stop_signal.js';

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
  { json, trace, 'max-hours': hours }: RunArguments,
  run: (options: RunOptions) => Promise<RunFolder>,
): Promise<void> {
  const { max_hours: maxHours } = parseOptions(z.object({ max_hours: maxHoursSchema.optional() }), {
    max_hours: hours,
  });
  const { close: closeTrace, ...messages } = openTrace(trace);
  const progress = openProgress({ json });
  const emit = (event: RunEvent) => progress.show(event);
  const { signal, release } = listenForStop((message) => emit({ kind: 'note', message }));
  let tables = '';
  try {
    const folder = await run({
      ...messages,
      emit,
      signal,
      maxHours,
      report: ({ path }) => {
        tables = buildReport(path).text;
      },
    });
    progress.close();
    if (!json) console.log(`${tables}\nrun folder  ${folder.path}\nreport      ${folder.report}`);
  } finally {
    progress.close();
    release();
    closeTrace();
  }
}
