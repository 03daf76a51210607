import type { JobName, ReproductionEvent } from '../../reproduce/events.js';
import { openStatusLine } from '../status_line.js';

export interface ReproductionProgress {
  readonly show: (event: ReproductionEvent) => void;
  readonly close: () => void;
}

export const jobInWords = ({ row, seed, value }: JobName): string =>
  `${row}, seed ${seed}${value === null ? '' : `, ${value}`}`;

/** One line for each job that is done; on a terminal also what is running. */
export function openReproductionProgress(
  json: boolean,
  print: (line: string) => void = console.log,
): ReproductionProgress {
  if (json)
    return {
      show: (event) => {
        if (event.kind !== 'step') print(JSON.stringify(event));
      },
      close: () => {},
    };
  const status = openStatusLine();
  const running = new Map<string, string>();
  const say = (line: string) => {
    status.clear();
    print(line);
  };
  const show = (event: ReproductionEvent) => {
    switch (event.kind) {
      case 'phase_started':
        if (event.jobs > 0) say(`${event.phase}: ${event.jobs} jobs, ${event.done} done before`);
        return;
      case 'step':
        running.set(jobInWords(event.job), `${jobInWords(event.job)}: ${event.step} of ${event.steps}`);
        status.show([...running.values()].join(' | '));
        return;
      case 'job_finished':
        running.delete(jobInWords(event.job));
        say(`${event.phase} ${event.done}/${event.jobs}  ${jobInWords(event.job)}`);
        return;
      case 'job_failed':
        running.delete(jobInWords(event.job));
        say(`${event.phase} failed  ${jobInWords(event.job)}: ${event.message}`);
        return;
      case 'chosen':
        say(`tuning  ${event.row}: ${event.value} (${event.figure.toFixed(2)})`);
        return;
      case 'note':
        say(`note: ${event.message}`);
    }
  };
  return { show, close: () => status.clear() };
}
