import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { SYSTEM_CLOCK } from '../../../ts/cli/progress/clock.js';
import { openProgress, type ProgressOptions } from '../../../ts/cli/progress.js';
import type { RunEvent } from '../../../ts/metrics/events.js';
import { makeEvaluation, makeStep } from '../metrics/make_rows.js';

/** Collects what is written; looks like a terminal when told to. */
class Captured extends Writable {
  text = '';
  readonly isTTY: boolean;
  readonly columns: number;
  readonly rows = 24;

  constructor(isTTY: boolean, columns = 100) {
    super({ decodeStrings: false });
    this.isTTY = isTTY;
    this.columns = columns;
  }

  override _write(chunk: string, _encoding: string, done: () => void): void {
    this.text += chunk;
    done();
  }
}

class FakeClock {
  time = 0;
  readonly #timers = new Set<{ readonly period: number; next: number; readonly action: () => void }>();

  readonly now = (): number => this.time;
  readonly every = (period: number, action: () => void): (() => void) => {
    const timer = { period, next: this.time + period, action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  advance(milliseconds: number): void {
    this.time += milliseconds;
    for (const timer of this.#timers) {
      if (timer.next > this.time) continue;
      timer.next = this.time + timer.period;
      timer.action();
    }
  }

  get running(): number {
    return this.#timers.size;
  }
}

function open(terminal: boolean, change: Partial<ProgressOptions> = {}, columns = 100) {
  const stream = new Captured(terminal, columns);
  const clock = new FakeClock();
  const progress = openProgress({
    json: false,
    env: { TERM: 'xterm' },
    clock,
    stream: stream as unknown as NodeJS.WriteStream,
    ...change,
  });
  return { stream, clock, progress };
}

const STAGES = [
  { name: 'start', method: 'sft', steps: 4 },
  { name: 'ammd', method: 'ammd', steps: 100 },
];
const RUN: RunEvent = { kind: 'run_started', name: 'quickstart', folder: 'runs/x', stages: STAGES };
const started = (stage: string, steps: number): RunEvent => ({
  kind: 'stage_started',
  stage,
  steps,
  resumed_from: null,
  parameters: { student: 10 },
});
const loading = (stage: string): RunEvent => ({
  kind: 'phase',
  stage,
  phase: 'loading',
  detail: 'models and data',
  done: 0,
  total: 1,
});
const step = (stage: string, n: number): RunEvent =>
  makeStep({
    stage,
    step: n,
    metrics: { loss: 0.5, loss_on_gap: 0.25, loss_odd: null, tv_on: 0.1 },
    tokens: { batch: 3000, response: 1, generated: 1 },
    seconds: { total: 2 },
  });

/** The first stage, two seconds a step, then two final evaluations and its end. */
function playFirstStage({ clock, progress }: Pick<ReturnType<typeof open>, 'clock' | 'progress'>): void {
  progress.show(RUN);
  progress.show(loading('start'));
  clock.advance(1000);
  progress.show({ ...loading('start'), done: 1 } as RunEvent);
  progress.show(started('start', 4));
  for (let n = 1; n <= 4; n += 1) {
    clock.advance(2000);
    progress.show(step('start', n));
  }
  const final = { stage: 'start', step: 4 };
  progress.show(makeEvaluation({ ...final, mean: 30 }));
  progress.show(makeEvaluation({ ...final, mean: 40, seed: 20 }));
  progress.show(makeEvaluation({ ...final, mean: 50, dataset: 'longer' }));
  clock.advance(1000);
  progress.show({ kind: 'stage_finished', stage: 'start', seconds: 10 });
}

describe('without a terminal', () => {
  test('plain lines: at the ends of stages, and every five seconds at most', () => {
    const view = open(false);
    playFirstStage(view);
    expect(view.stream.text.split('\n')).toEqual([
      'quickstart: 2 stages, run folder runs/x',
      '[1/2 start] loading models and data',
      '[1/2 start] step 1/4, loss 0.5, on_gap 0.25, odd not finite, 1.5 k tokens/s',
      '[1/2 start] step 4/4, loss 0.5, on_gap 0.25, odd not finite, 1.5 k tokens/s, left: about 3 min 20 s of the run',
      '[1/2 start] done: 4 steps, 10 s',
      '  Exact match: seen 35.0, longer 50.0',
      '',
    ]);
  });

  test('the second stage, then the end; the log never moves the cursor', () => {
    const view = open(false);
    playFirstStage(view);
    const before = view.stream.text.length;
    view.progress.show(started('ammd', 100));
    for (let n = 1; n <= 10; n += 1) {
      view.clock.advance(3000);
      view.progress.show(step('ammd', n));
    }
    view.progress.show({ kind: 'stage_finished', stage: 'ammd', seconds: 61 });
    view.progress.show({ kind: 'run_finished', folder: 'x', report: 'x/report.html', seconds: 125 });
    view.progress.close();
    const lines = view.stream.text.slice(before).trim().split('\n');
    expect(lines.map((line) => /step \d+/.exec(line)?.[0] ?? line)).toEqual([
      'step 1',
      'step 3',
      'step 5',
      'step 7',
      'step 9',
      '[2/2 ammd] done: 10 steps, 1 min 01 s',
      'done in 2 min 05 s',
    ]);
    // 91 steps at 2.889 s, and what the first stage took beside its steps.
    expect(lines[4]).toContain('left: about 4 min 25 s of the stage');
    expect(view.stream.text).not.toContain('\u001b');
    expect(view.stream.text).not.toContain('\r');
  });

  test('a stage done before a resume is one line; notes are always shown', () => {
    const { stream, progress } = open(false);
    progress.show(RUN);
    progress.show({ kind: 'stage_finished', stage: 'start', seconds: 0 });
    progress.show({ kind: 'note', message: 'SIGINT:\u001b[2J stopping' });
    expect(stream.text.split('\n').slice(1, 3)).toEqual([
      '[1/2 start] done before',
      'note: SIGINT: [2J stopping',
    ]);
  });

  test('evaluation is named with what is evaluated', () => {
    const { stream, clock, progress } = open(false);
    progress.show(RUN);
    clock.advance(6000);
    progress.show({
      kind: 'phase',
      stage: 'ammd',
      phase: 'evaluating',
      detail: 'seen, seed 10',
      done: 2,
      total: 15,
    });
    expect(stream.text).toContain('[2/2 ammd] evaluating seen, seed 10 (2 of 15)\n');
  });

  test('a dumb terminal gets plain lines as well', () => {
    const view = open(true, { env: { TERM: 'dumb' } });
    playFirstStage(view);
    expect(view.stream.text).not.toContain('\u001b');
    expect(view.stream.text).toContain('[1/2 start] done: 4 steps');
  });
});

test('a terminal without a size gets plain lines, for a live view would draw nothing', () => {
  const stream = new Captured(true, 0);
  const progress = openProgress({ json: false, stream: stream as unknown as NodeJS.WriteStream, env: {} });
  progress.show({ kind: 'note', message: 'something to know' });
  progress.close();
  expect(stream.text).toBe('note: something to know\n');
});

describe('JSON', () => {
  test('every event, unchanged, one a line, and nothing else', () => {
    const { stream, clock, progress } = open(true, { json: true });
    const events: RunEvent[] = [
      RUN,
      started('start', 4),
      step('start', 1),
      makeEvaluation({ scores: [1, 2] }),
    ];
    for (const event of events) progress.show(event);
    clock.advance(60_000);
    progress.close();
    const lines = stream.text.split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(events);
    expect(clock.running).toBe(0);
  });
});

describe('on a terminal', () => {
  test('draws a block with stage, bar, losses, speed and time left, and the last evaluation', () => {
    const { stream, clock, progress } = open(true);
    progress.show(RUN);
    progress.show(started('ammd', 100));
    for (let n = 1; n <= 50; n += 1) {
      clock.advance(2000);
      progress.show(step('ammd', n));
    }
    progress.show(makeEvaluation({ step: 50, final: false, dataset: 'validation', mean: 31.25 }));
    stream.text = '';
    clock.advance(200);
    const drawn = stripVTControlCharacters(stream.text);
    for (const part of [
      'step 50 of 100',
      '━━━━━━━━━━━━━━━───────────────',
      'left: about 1 min 40 s of the stage   1 min 40 s so far',
      'validation, step 50: Exact match 31.3',
    ]) {
      expect(drawn).toContain(part);
    }
  });

  test('unchanged content is not drawn again: nothing flickers', () => {
    const { stream, clock, progress } = open(true);
    progress.show(RUN);
    progress.show(loading('start'));
    clock.advance(200);
    const before = stream.text;
    clock.advance(200);
    expect(stream.text).toBe(before);
  });

  test('outcomes of stages stay above the block', () => {
    const view = open(true);
    playFirstStage(view);
    expect(stripVTControlCharacters(view.stream.text)).toContain(
      '[1/2 start] done: 4 steps, 10 s\n  Exact match: seen 35.0',
    );
  });

  test('NO_COLOR leaves positions and no colours; otherwise there are some', () => {
    const dim = '\u001b[2m';
    const plain = open(true, { env: { TERM: 'xterm', NO_COLOR: '1' } });
    playFirstStage(plain);
    plain.clock.advance(200);
    expect(plain.stream.text).not.toContain(dim);
    expect(plain.stream.text).toContain('\u001b[');
    const coloured = open(true);
    playFirstStage(coloured);
    expect(coloured.stream.text).toContain(dim);
  });

  test.each([20, 45, 60, 200])('no drawn line is wider than a terminal of %d columns', (columns) => {
    const { stream, clock, progress } = open(true, { env: { TERM: 'xterm', NO_COLOR: '1' } }, columns);
    progress.show(RUN);
    progress.show(started('ammd', 100));
    for (let n = 1; n <= 5; n += 1) {
      clock.advance(100);
      progress.show(step('ammd', n));
    }
    progress.show(makeEvaluation({ dataset: 'a'.repeat(300), final: false }));
    stream.text = '';
    clock.advance(200);
    const widths = stripVTControlCharacters(stream.text)
      .split('\n')
      .map((line) => line.length);
    expect(Math.max(...widths)).toBeLessThan(columns);
    expect(widths.length).toBeGreaterThan(3);
  });

  test('closing stops the clock, once and for all, and leaves a clean screen', () => {
    const { stream, clock, progress } = open(true);
    progress.show(RUN);
    progress.show(started('ammd', 100));
    clock.advance(200);
    progress.close();
    const after = stream.text;
    progress.close();
    clock.advance(1000);
    expect(stream.text).toBe(after);
    expect(clock.running).toBe(0);
  });
});

test('the system clock goes forward, and its timer can be stopped', async () => {
  const before = SYSTEM_CLOCK.now();
  await new Promise<void>((resolve) => {
    const stop = SYSTEM_CLOCK.every(1, () => {
      stop();
      resolve();
    });
    setTimeout(() => undefined, 50);
  });
  expect(SYSTEM_CLOCK.now()).toBeGreaterThan(before);
});
