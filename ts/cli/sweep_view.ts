import { counted } from '../common/counted.js';
import type { SweepSummary, TrialRow } from '../metrics/sweep_rows.js';
import { formatFigure, formatSeconds } from '../report/formats/number_format.js';
import { printable } from '../report/formats/table.js';
import { formatValue, shortNames } from '../report/sweep/names.js';
import type { SweepEvent, TrialEvent } from '../sweep/events.js';
import { openStatusLine } from './status_line.js';

/** Shows a sweep's events. */
export interface SweepView {
  readonly show: (event: SweepEvent) => void;
  /** Leaves the screen as it is; may be called again. */
  readonly close: () => void;
}

/** `trial 3: 34.5  training.lr.from=0.004  (52 s)`. */
export function trialLine({ number, state, value, reason, parameters, seconds }: TrialRow): string {
  const names = shortNames(Object.keys(parameters));
  const chosen = Object.entries(parameters).map(
    ([path, given]) => `${names.get(path)}=${formatValue(given)}`,
  );
  const outcome = value === null ? `${state}, ${reason}` : formatFigure(value);
  return `trial ${number}: ${outcome}  ${chosen.join(' ')}  (${formatSeconds(seconds)})`;
}

const objectiveText = ({ metric, decoding, mode, dataset }: SweepSummary['objective']) =>
  `${metric} (${decoding}, ${mode}) on ${dataset}`;

/** A JSON row a trial on stdout and all else on stderr, or lines for people. */
export function openSweepView({ json }: { readonly json: boolean }): SweepView {
  const status = openStatusLine();
  const running = new Map<number, string>();
  const say = (line: string) => {
    status.clear();
    if (json) console.error(printable(line));
    else console.log(printable(line));
  };
  const hear = ({ number, event }: TrialEvent) => {
    if (event.kind === 'step') running.set(number, `${event.stage}, step ${event.step}`);
    else if (event.kind === 'note') say(`note: trial ${number}: ${event.message}`);
  };
  const finished = (row: TrialRow) => {
    running.delete(row.number);
    status.clear();
    if (json) console.log(JSON.stringify(row));
    else say(trialLine(row));
  };
  const tell = (event: SweepEvent): void => {
    switch (event.kind) {
      case 'sweep_started':
        say(
          `${event.name}: ${event.done} of ${counted(event.wanted, 'trial')} done, sweep folder ${event.folder}`,
        );
        say(`judged by ${objectiveText(event.objective)}`);
        break;
      case 'trial_started':
        running.set(event.number, event.again ? 'goes on' : 'begins');
        break;
      case 'trial_event':
        hear(event);
        break;
      case 'trial':
        finished(event);
        break;
      case 'note':
        say(`note: ${event.message}`);
        break;
      case 'sweep_finished':
        say(`done in ${formatSeconds(event.seconds)}`);
        break;
    }
  };
  return {
    show: (event) => {
      tell(event);
      status.show([...running].map(([number, text]) => `trial ${number}: ${text}`).join('   '));
    },
    close: () => status.clear(),
  };
}
