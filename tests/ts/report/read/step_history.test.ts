import { describe, expect, test } from '@jest/globals';
import {
  MOST_SPANS,
  meanOf,
  type Span,
  StepHistory,
  Track,
} from '../../../../ts/report/read/step_history.js';
import { makeStep } from '../../metrics/make_rows.js';

const track = (count: number, every = 1): Track => {
  const made = new Track();
  for (let at = 1; at <= count; at += 1) made.add(at * every, at);
  return made;
};
const spansOf = (it: Track): Span[] => [...it.spans.values()];

describe('a track', () => {
  test('has a span for each step of a run of ordinary length', () => {
    const spans = spansOf(track(MOST_SPANS));
    expect(spans).toEqual(
      Array.from({ length: MOST_SPANS }, (_, at) => ({
        step: at + 1,
        count: 1,
        sum: at + 1,
        low: at + 1,
        high: at + 1,
      })),
    );
  });

  test.each([
    [MOST_SPANS + 1, 1],
    [10 * MOST_SPANS + 7, 1],
    // Logged so seldom that neighbouring figures meet only once spans are wide.
    [3 * MOST_SPANS, 100],
  ])('of %i figures, every %i steps, loses none and holds few', (count, every) => {
    const spans = spansOf(track(count, every));
    expect(spans.length).toBeLessThanOrEqual(MOST_SPANS);
    expect(spans.length).toBeGreaterThan(MOST_SPANS / 4);
    let next = 1;
    for (const span of spans) {
      const high = next + span.count - 1;
      const sum = ((next + high) * span.count) / 2;
      expect(span).toEqual({ step: high * every, count: span.count, sum, low: next, high });
      next = high + 1;
    }
    expect(next).toBe(count + 1);
  });

  test('has the spans of a longer one once it is as wide', () => {
    const long = track(5 * MOST_SPANS);
    const short = track(1000);
    expect([short.width, long.width]).toEqual([1, 8]);
    const [first, ...others] = [...long.spans].slice(0, 1000 / 8);
    expect([...short.widenedTo(8).spans]).toEqual([first, ...others]);
    expect(spansOf(short)).toHaveLength(1000);
    expect(long.widenedTo(1)).toBe(long);
  });

  test('has places for steps without a figure', () => {
    const made = new Track();
    for (const step of [2, 5]) made.add(step, 1);
    expect([...made.spans.keys()]).toEqual([2, 5]);
    expect([...made.widenedTo(2).spans.keys()]).toEqual([1, 3]);
  });
});

test('the mean over spans is that over their figures', () => {
  const spans = spansOf(track(2 * MOST_SPANS + 1));
  expect(meanOf(spans)).toBe(MOST_SPANS + 1);
});

describe('the history of steps', () => {
  const rows = [
    makeStep({
      step: 1,
      metrics: { loss: 4, gap: null },
      lr: 0.5,
      tokens: { batch: 1, response: 2, generated: 3 },
    }),
    makeStep({ step: 2, metrics: { loss: 2, late: 1 }, critic_lr: 0.25 }),
  ];

  test('has what was logged, by name, and the sums', () => {
    const history = new StepHistory(rows.values());
    expect(history.names).toEqual(['loss', 'gap', 'late']);
    expect(spansOf(history.metric('loss')).map(({ sum }) => sum)).toEqual([4, 2]);
    expect(spansOf(history.metric('gap'))).toEqual([]);
    expect(spansOf(history.metric('never'))).toEqual([]);
    expect(spansOf(history.lr).map(({ sum }) => sum)).toEqual([0.5, 1e-3]);
    expect(spansOf(history.criticLr).map(({ step, sum }) => [step, sum])).toEqual([[2, 0.25]]);
    expect(history.totals.throughput).toMatchObject({ steps: 2, tokens: 21 });
    expect(history.last).toBe(2);
  });

  test('of no rows is empty', () => {
    const { last, names, totals } = new StepHistory();
    expect([last, names, totals.throughput.steps]).toEqual([0, [], 0]);
  });
});
