import { createLogUpdate } from 'log-update';
import { counted } from '../common/counted.js';
import type { RunEvent } from '../metrics/events.js';
import { formatSeconds } from '../report/formats/number_format.js';
import { printable } from '../report/formats/table.js';
import { type Clock, SYSTEM_CLOCK } from './progress/clock.js';
import { COLOURS, liveLines, PLAIN, plainLine, stageSummary } from './progress/lines.js';
import { advance, initialState, type ProgressState } from './progress/state.js';

/** Shows a run's events. `close` leaves the screen as it is, and may be called again. */
export interface Progress {
  readonly show: (event: RunEvent) => void;
  readonly close: () => void;
}

export interface ProgressOptions {
  /** Events as JSON lines, nothing else. */
  readonly json: boolean;
  readonly stream?: NodeJS.WriteStream;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
}

/**
 * The view that fits the stream: JSON lines when asked for, a few redrawn lines on a terminal, otherwise a
 * plain line now and then. Colours only on a terminal, and not with NO_COLOR (no-color.org).
 */
export function openProgress(options: ProgressOptions): Progress {
  const { json, stream = process.stdout, env = process.env, clock = SYSTEM_CLOCK } = options;
  if (json) return jsonView(stream);
  // Some containers leave a terminal without a size, on which a live view would draw nothing.
  const drawable = stream.columns !== 0 && stream.rows !== 0;
  const terminal = stream.isTTY === true && env.TERM !== 'dumb' && drawable;
  return terminal ? liveView(stream, clock, (env.NO_COLOR ?? '') === '') : plainView(stream, clock);
}

function jsonView(stream: NodeJS.WriteStream): Progress {
  return { show: (event) => void stream.write(`${JSON.stringify(event)}\n`), close: () => undefined };
}

/** Milliseconds between two lines of a log, and between two drawings on a terminal. */
const PLAIN_EVERY = 5000;
const LIVE_EVERY = 200;

function plainView(stream: NodeJS.WriteStream, clock: Clock): Progress {
  let state = initialState(clock.now());
  let next = Number.NEGATIVE_INFINITY;
  let last = '';
  const write = (line: string): void => void stream.write(`${line}\n`);
  return {
    show: (event) => {
      for (const line of lastingLines(state, event)) write(line);
      const now = clock.now();
      state = advance(state, event, now);
      if (event.kind === 'stage_started' || event.kind === 'stage_finished') next = now;
      const line =
        now >= next && (event.kind === 'step' || event.kind === 'phase') ? plainLine(state, now) : undefined;
      if (line === undefined || line === last) return;
      write(line);
      last = line;
      next = now + PLAIN_EVERY;
    },
    close: () => undefined,
  };
}

function liveView(stream: NodeJS.WriteStream, clock: Clock, colours: boolean): Progress {
  let state = initialState(clock.now());
  const paint = colours ? COLOURS : PLAIN;
  // The cursor stays visible: hiding it would need signal handlers to bring it back.
  const screen = createLogUpdate(stream, { showCursor: true });
  const draw = (): void => {
    const lines = liveLines(state, clock.now(), (stream.columns ?? 80) - 1, paint);
    if (lines.length === 0) screen.clear();
    else screen(lines.join('\n'));
  };
  const stop = clock.every(LIVE_EVERY, draw);
  let open = true;
  return {
    show: (event) => {
      const lines = lastingLines(state, event);
      state = advance(state, event, clock.now());
      if (lines.length > 0) screen.persist(lines.join('\n'));
    },
    close: () => {
      if (!open) return;
      open = false;
      stop();
      screen.clear();
      screen.done();
    },
  };
}

/** What stays on the screen and in a log: the run's ends, each stage's outcome, notes. */
function lastingLines(before: ProgressState, event: RunEvent): string[] {
  switch (event.kind) {
    case 'run_started':
      return [
        printable(`${event.name}: ${counted(event.stages.length, 'stage')}, run folder ${event.folder}`),
      ];
    case 'stage_finished':
      return stageSummary(before, event.stage, event.seconds);
    case 'run_finished':
      return [`done in ${formatSeconds(event.seconds)}`];
    case 'note':
      return [printable(`note: ${event.message}`)];
    default:
      return [];
  }
}
