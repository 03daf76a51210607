import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, jest, test } from '@jest/globals';
import { AmmdError } from '../../../ts/common/errors.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import { readJournal } from '../../../ts/metrics/journal.js';
import { sweepSummarySchema, trialRowSchema } from '../../../ts/metrics/sweep_rows.js';
import { RunError } from '../../../ts/run/errors.js';
import { RunFolder } from '../../../ts/run/folder/run_folder.js';
import { WorkerPool, type WorkerPoolOptions } from '../../../ts/run/workers/pool.js';
import type { SweepEvent } from '../../../ts/sweep/events.js';
import { resumeSweep, runSweep, type SweepOptions } from '../../../ts/sweep/sweep.js';
import { SweepFolder } from '../../../ts/sweep/sweep_folder.js';
import { WireError, WorkerFailure } from '../../../ts/wire/errors.js';
import { FakeSearch, FakeStages, LR, resolveSmall, sweepFiles, WEIGHT } from './scene.js';

/** Learning rates by trial, in an order that is not their own. */
const RATES = [1e-3, 4e-3, 2e-3, 8e-3];
/** What training comes to: at most 40, at a rate of 4e-3. */
const scoreAt = (lr: number) => 40 - Math.abs(lr - 4e-3) * 1000;

let out = '';
let search: FakeSearch;
let stages: FakeStages;
let events: SweepEvent[];
beforeEach(() => {
  out = join(sweepFiles(), 'out');
  search = new FakeSearch((number) => ({ [LR]: RATES[number] ?? 1e-4, [WEIGHT]: 0.1 }));
  stages = new FakeStages(join(out, 'stages'), scoreAt);
  events = [];
});

const options = (change: Partial<SweepOptions> = {}): SweepOptions => ({
  emit: (event) => events.push(event),
  python: '/no/python',
  parts: { openStudy: search.open, stages: () => stages },
  ...change,
});

const run = (change: Partial<SweepOptions> = {}, ...set: readonly string[]) =>
  runSweep(resolveSmall(...set), out, options(change));
const resume = (change: Partial<SweepOptions & { trials: number }> = {}) =>
  resumeSweep(out, { ...options(), ...change });

const folder = () => new SweepFolder(out);
const rows = () => readJournal(folder().trials, trialRowSchema);
const summary = () => sweepSummarySchema.parse(JSON.parse(readFileSync(folder().summary, 'utf8')));
const kinds = () => events.map(({ kind }) => kind).filter((kind) => kind !== 'trial_event');

/** Stops the sweep at the n-th evaluation during training. */
function stoppedAt(evaluation: number): AbortSignal {
  const stop = new AbortController();
  let seen = 0;
  stages.atStep = () => {
    seen += 1;
    if (seen === evaluation) stop.abort();
  };
  return stop.signal;
}

describe('a sweep', () => {
  test('runs each trial on the stage, judges it by the mean over decoding seeds, and keeps the best', async () => {
    const { rows: result, summary: found } = await run();
    expect(rows()).toEqual(result);
    expect(result.map(({ number, state, value }) => [number, state, value])).toEqual(
      RATES.map((rate, number) => [number, 'complete', scoreAt(rate)]),
    );
    expect(result[1]).toMatchObject({
      kind: 'trial',
      parameters: { [LR]: 4e-3, [WEIGHT]: 0.1 },
      intermediate: [5, 10, 15, 20].map((step) => ({ step, value: 2 * step })),
      reason: null,
    });
    expect(result[1]?.folder).toBe(`stages/${result[1]?.hash?.slice(0, 16)}`);
    expect(search.endings).toEqual(RATES.map((rate) => `complete ${scoreAt(rate)}`));
    expect(summary()).toEqual(found);
    expect(found.trials).toEqual({ wanted: 4, complete: 4, pruned: 0, failed: 0 });
    expect(found.best).toMatchObject({ number: 1, value: 40, config: 'best.yaml' });
    expect(kinds()).toEqual([
      'sweep_started',
      ...RATES.flatMap(() => ['trial_started', 'trial']),
      'sweep_finished',
    ]);
  });

  test('trains stages before the judged one once', async () => {
    await run();
    expect(stages.trained).toEqual(['teacher from 0', ...RATES.map(() => 'student from 0')]);
    expect(new Set(rows().map(({ hash }) => hash)).size).toBe(4);
  });

  test('keeps all students, or that of the best trial so far alone', async () => {
    const withStudent = () =>
      rows().flatMap(({ number, folder: trial }) =>
        existsSync(new RunFolder(join(out, String(trial))).stage('student').student) ? [number] : [],
      );
    search.stops.set(3, 10);
    await run({}, 'search.trials=3');
    expect(withStudent()).toEqual([0, 1, 2]);
    // Whose students it keeps decides nothing that is found, so it is the same sweep.
    const config = readFileSync(folder().config, 'utf8');
    writeFileSync(folder().config, config.replace('students: all', 'students: best'));
    await resume({ trials: 5 });
    expect(withStudent()).toEqual([1]);
    expect(rows()).toHaveLength(5);
    // The teacher's folder, no trial's, has its own.
    const kept = readdirSync(folder().stages).filter((name) =>
      existsSync(join(folder().stages, name, 'stages', 'teacher', 'student')),
    );
    expect(kept).toHaveLength(1);
  });

  test('leaves what an equal trial still trains', async () => {
    search = new FakeSearch((number) => ({ [LR]: number === 0 ? 4e-3 : 1e-3, [WEIGHT]: 0.1 }));
    search.stops.set(1, 10);
    const parts = { openStudy: search.open, stages: () => stages };
    await run({ parts }, 'search.trials=2', 'students=best');
    const pruned = new RunFolder(join(out, String(rows()[1]?.folder))).stage('student');
    mkdirSync(pruned.student); // as its export would
    await resume({ parts });
    expect(existsSync(pruned.student)).toBe(true);
    await resume({ parts, trials: 3 });
    expect(rows()[2]).toMatchObject({ state: 'complete', folder: rows()[1]?.folder });
    expect(existsSync(pruned.student)).toBe(false);
  });

  test('writes the best run as a configuration that can be trained, test sets included', async () => {
    await run({}, 'data.seen={source: "builtin:microtasks", split: seen}', 'stages.student.data.test=[seen]');
    const text = readFileSync(folder().best, 'utf8');
    expect(text).toMatch(/^# Trial 1 of sweep small: exact_match \(sampled\) on check is 40\.\n/);
    const { config, warnings } = resolveConfig(folder().best);
    expect(warnings).toEqual([]);
    expect(config.stages.student?.training.lr).toMatchObject({ from: 4e-3 });
    expect(config.stages.student?.data.test).toEqual(['seen']);
    expect(Object.keys(config.stages)).toEqual(['teacher', 'student']);
  });

  test('runs several trials at a time, none twice', async () => {
    await run({ jobs: 3 });
    expect(
      rows()
        .map(({ number }) => number)
        .toSorted(),
    ).toEqual([0, 1, 2, 3]);
    const starts = kinds().slice(1, 4);
    expect(starts).toEqual(['trial_started', 'trial_started', 'trial_started']);
  });

  test('lets trials of one student wait for each other', async () => {
    search = new FakeSearch(() => ({ [LR]: 4e-3, [WEIGHT]: 0.1 }));
    search.stops.set(0, 10);
    await run({ jobs: 2, parts: { openStudy: search.open, stages: () => stages } }, 'search.trials=2');
    expect(rows().map(({ number, state }) => [number, state])).toEqual([
      [0, 'pruned'],
      [1, 'complete'],
    ]);
    expect(stages.trained.filter((name) => name.startsWith('student'))).toEqual([
      'student from 0',
      'student from 10',
    ]);
  });

  test('stops a trial that is behind', async () => {
    search.stops.set(2, 10);
    const { summary: found } = await run();
    expect(rows()[2]).toMatchObject({
      number: 2,
      state: 'pruned',
      value: null,
      reason: 'behind others at step 10',
    });
    expect(rows()[2]?.intermediate.at(-1)).toEqual({ step: 10, value: 19 });
    expect(found.trials).toMatchObject({ complete: 3, pruned: 1 });
    expect(search.endings[2]).toBe('pruned');
    expect(stages.dropped).toEqual([rows()[2]?.hash]);
  });

  test('keeps a failed trial with its reason and goes on', async () => {
    stages = new FakeStages(join(out, 'stages'), (lr) =>
      lr === 1e-3 ? new WorkerFailure('worker_exited', 'the worker ended (killed by SIGKILL)') : scoreAt(lr),
    );
    const { summary: found } = await run();
    expect(rows()[0]).toMatchObject({
      state: 'failed',
      value: null,
      reason: 'the worker ended (killed by SIGKILL)',
    });
    expect(found.trials).toMatchObject({ complete: 3, failed: 1 });
    expect(search.endings[0]).toBe('failed');
  });

  test('counts a trial that skipped most of its updates as failed, whatever its value', async () => {
    stages.skips = (lr, step) => (lr === 4e-3 && step > 9) || (lr === 2e-3 && step > 10);
    const { summary: found } = await run();
    expect(rows().map(({ state }) => state)).toEqual(['complete', 'failed', 'complete', 'complete']);
    expect(rows()[1]).toMatchObject({
      value: null,
      reason: '11 of 20 updates were skipped, since the gradient was not finite; lower training.lr',
    });
    expect(found.best?.number).toBe(2);
  });

  test('counts a trial whose value is no number, or whose parameters cannot be run, as failed', async () => {
    search = new FakeSearch((number) => ({ [LR]: number === 0 ? 5000 : 4e-3, [WEIGHT]: number }));
    stages = new FakeStages(join(out, 'stages'), scoreAt);
    await run({ parts: { openStudy: search.open, stages: () => stages } }, 'search.trials=2');
    expect(rows()[0]).toMatchObject({ state: 'failed', hash: null, folder: null, seconds: 0 });
    expect(rows()[0]?.reason).toMatch(/every value must be from 0 to 1000/);
    expect(rows()[1]).toMatchObject({ state: 'complete' });
  });

  test('ends when the first three trials fail, with the reason, and can be continued', async () => {
    let broken = true;
    stages = new FakeStages(join(out, 'stages'), (lr) =>
      broken ? new WireError('out_of_memory', 'no memory for a batch of 8 rows') : scoreAt(lr),
    );
    const failure = await run().catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'sweep_failed',
      message: 'the first 3 trials failed, the last: no memory for a batch of 8 rows',
      cause: { code: 'out_of_memory' },
    });
    broken = false;
    const { summary: found } = await resume();
    expect(found.trials).toEqual({ wanted: 4, complete: 1, pruned: 0, failed: 3 });
  });

  test('without any trial that was completed says so', async () => {
    for (let number = 0; number < 4; number += 1) search.stops.set(number, 5);
    await expect(run()).rejects.toMatchObject({
      code: 'sweep_empty',
      message: 'none of 4 trials was completed',
    });
    expect(existsSync(folder().best)).toBe(false);
    expect(summary().best).toBeNull();
  });

  test.each([
    ['a missing environment', new WorkerFailure('worker_start', 'no Python'), 'worker_start'],
    ['a defect', new TypeError('x is undefined'), null],
    [
      'a full disk',
      new RunError('stage_failed', 'stage student: full', {
        cause: new WireError('checkpoint_error', 'full'),
        hint: 'when that is mended, go on with: ammd resume out/stages/637f',
      }),
      'checkpoint_error',
    ],
  ])('ends with %s, of which no trial is to blame, and runs the trial again', async (_, error, cause) => {
    let broken = true;
    stages = new FakeStages(join(out, 'stages'), (lr) => (broken && lr === 4e-3 ? error : scoreAt(lr)));
    const failure = await run().catch((reason: unknown) => reason);
    if (cause === null) expect(failure).toBe(error);
    else {
      expect(failure).toMatchObject({ code: 'sweep_failed', cause: { code: cause } });
      expect(failure).toMatchObject({
        message: `trial 1: ${error.message}`,
        hint: expect.stringMatching(/go on with: ammd sweep .*out$/),
      });
    }
    expect(rows().map(({ number }) => number)).toEqual([0]);
    broken = false;
    await resume();
    expect(rows().map(({ number }) => number)).toEqual([0, 1, 2, 3]);
  });
});

describe('a sweep that was stopped', () => {
  test('says how to go on, and goes on where it was: the same trial, after its last step', async () => {
    const stopped = await run({ signal: stoppedAt(6) }).catch((error: unknown) => error);
    expect(stopped).toMatchObject({ code: 'interrupted', message: 'stopped after 1 of 4 trials' });
    expect(stopped instanceof AmmdError && stopped.hint).toMatch(/continue with: ammd sweep .*out$/);
    expect(search.endings).toEqual([expect.stringContaining('complete'), null]);
    events = [];
    await resume();
    expect(events.filter(({ kind }) => kind === 'trial_started')).toMatchObject([
      { number: 1, again: true, parameters: { [LR]: 4e-3 } },
      { number: 2, again: false },
      { number: 3, again: false },
    ]);
    expect(stages.trained.filter((name) => name.startsWith('student'))).toEqual([
      'student from 0',
      'student from 0',
      'student from 10',
      'student from 0',
      'student from 0',
    ]);
    expect(rows().map(({ number, value }) => [number, value])).toEqual(
      RATES.map((rate, number) => [number, scoreAt(rate)]),
    );
    expect(rows()[1]?.intermediate.map(({ step }) => step)).toEqual([5, 10, 15, 20]);
  });

  test('ends with the rows of one that was not, wherever it was stopped', async () => {
    await run();
    const without = () => rows().map(({ seconds: _seconds, ...row }) => row);
    const expected = without();
    for (const evaluation of [1, 6, 12]) {
      rmSync(out, { recursive: true });
      search = new FakeSearch((number) => ({ [LR]: RATES[number] ?? 1e-4, [WEIGHT]: 0.1 }));
      stages = new FakeStages(join(out, 'stages'), scoreAt);
      await run({ signal: stoppedAt(evaluation) }).catch(() => {});
      await resume({ signal: stoppedAt(7) }).catch(() => {});
      await resume();
      expect(without()).toEqual(expected);
    }
  });

  test('between a row and the search tells the search, and writes no second row', async () => {
    await run({}, 'search.trials=2');
    const last = search.of(1);
    last.ended = null;
    await resume();
    expect(last.ended).toBe('complete 40');
    expect(rows()).toHaveLength(2);
  });

  test('after the search said that a trial is behind does not train it again', async () => {
    search.stops.set(0, 10);
    stages.atStep = (step) => {
      if (step === 10) throw new TypeError('as a kill');
    };
    await expect(run()).rejects.toThrow('as a kill');
    stages.atStep = () => {};
    await resume();
    expect(rows()[0]).toMatchObject({ number: 0, state: 'pruned' });
    expect(stages.trained.filter((name) => name === 'student from 10')).toEqual([]);
  });

  test('may get more trials, but no other space', async () => {
    await run({}, 'search.trials=2');
    const { summary: found } = await resume({ trials: 3 });
    expect(found.trials).toMatchObject({ wanted: 3, complete: 3 });
    expect((await resume()).summary.trials.wanted).toBe(3);
    expect((await resume({ trials: 2 })).summary.trials).toMatchObject({ wanted: 3, complete: 3 });
    const begun = events.filter((event) => event.kind === 'sweep_started').at(-1);
    expect(begun).toMatchObject({ wanted: 3, done: 3 });
    const text = readFileSync(folder().config, 'utf8');
    writeFileSync(folder().config, text.replace('0.0001', '0.0002'));
    await expect(resume()).rejects.toMatchObject({ code: 'sweep_changed' });
  });

  test('does not go on with data whose content has changed: its trials could not be compared', async () => {
    const data = `${out}.jsonl`;
    const write = (answer: string) =>
      writeFileSync(data, JSON.stringify({ instruction: 'question', output: answer }));
    write('before');
    await run({}, `data.train={source: ${data}}`, 'search.trials=2');
    write('after');
    expect((await resume()).summary.trials.complete).toBe(2);
    await expect(resume({ trials: 3 })).rejects.toMatchObject({
      code: 'sweep_changed',
      message: expect.stringMatching(/^data or models of .*out have changed since trial 1 was trained$/),
    });
    write('before');
    expect((await resume({ trials: 3 })).summary.trials.complete).toBe(3);
  });

  test('whose rows cannot be opened starts no search; one without a search leaves no worker', async () => {
    await run({}, 'search.trials=1');
    const { opened } = search;
    rmSync(folder().trials);
    mkdirSync(folder().trials);
    await expect(resume()).rejects.toThrow('EISDIR');
    expect(search.opened).toBe(opened);
    rmSync(folder().trials, { recursive: true });
    const close = jest.fn(async () => {});
    const openPool = (settings: WorkerPoolOptions) => Object.assign(new WorkerPool(settings), { close });
    const openStudy = () => Promise.reject(new Error('no Optuna'));
    await expect(resume({ parts: { openStudy, openPool } })).rejects.toThrow('no Optuna');
    expect(close).toHaveBeenCalledTimes(1);
  });

  test('whose files are not of the same trials is refused', async () => {
    await run();
    const text = readFileSync(folder().trials, 'utf8');
    writeFileSync(folder().trials, `${text.split('\n').slice(1).join('\n')}`);
    await expect(resume()).rejects.toMatchObject({
      code: 'sweep_files',
      message: expect.stringMatching(/trials\.jsonl lacks trial 0$/),
    });
    writeFileSync(folder().trials, text);
    appendFileSync(folder().trials, `${text.split('\n')[0]?.replace('"number":0', '"number":9')}\n`);
    await expect(resume()).rejects.toMatchObject({
      message: expect.stringMatching(/study\.jsonl lacks trial 9$/),
    });
  });
});

test('a folder with a sweep is not overwritten, and one without is not continued', async () => {
  await run({}, 'search.trials=1');
  await expect(run()).rejects.toMatchObject({
    code: 'sweep_exists',
    hint: expect.stringContaining('continue it'),
  });
  await expect(resumeSweep(sweepFiles(), options())).rejects.toMatchObject({ code: 'sweep_not_found' });
});

test('workers are one a device, unless it is said how many', async () => {
  const opened: WorkerPoolOptions[] = [];
  const openPool = (settings: WorkerPoolOptions) => {
    opened.push(settings);
    return new WorkerPool(settings);
  };
  const parts = { openStudy: search.open, stages: () => stages, openPool };
  await run({ parts }, 'search.trials=1');
  await resume({ parts, devices: ['cuda:0', 'cuda:1'] });
  await resume({ parts, jobs: 10_000 });
  expect(opened.map(({ devices, jobs }) => [devices, jobs])).toEqual([
    [['auto'], 1],
    [['cuda:0', 'cuda:1'], 2],
    [['auto'], 10_000],
  ]);
});
