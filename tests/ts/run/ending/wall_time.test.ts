import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { limitTime, TimeOver } from '../../../../ts/run/ending/wall_time.js';

const HOUR = 3_600_000;
const over = jest.fn<(over: TimeOver) => void>();
let clock = 0;
beforeEach(() => {
  over.mockClear();
  jest.useFakeTimers();
  clock = 0;
  jest.spyOn(performance, 'now').mockImplementation(() => clock);
});
afterEach(() => {
  jest.restoreAllMocks();
  jest.useRealTimers();
});

/** Lets hours pass; a process that slept through them looks at the clock a second later. */
function pass(hours: number): void {
  clock += hours * HOUR;
  jest.advanceTimersByTime(1000);
}

describe('wall time', () => {
  // 1,000 hours are more than one timer can count.
  test.each([0.001, 2, 1000])('%d hours abort the signal when they are over, and not before', (hours) => {
    const { signal } = limitTime(hours, undefined, over);
    pass(0.999 * hours);
    expect(signal?.aborted).toBe(false);
    pass(0.002 * hours);
    expect(signal?.aborted).toBe(true);
    expect(signal?.reason).toEqual(new TimeOver(hours));
    expect(over.mock.calls).toEqual([[new TimeOver(hours)]]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test('no limit is the signal given, or none', () => {
    const { signal } = new AbortController();
    expect(limitTime(null, signal, over).signal).toBe(signal);
    expect(limitTime(null, undefined, over).signal).toBeUndefined();
    expect(jest.getTimerCount()).toBe(0);
  });

  test('who asks first is the reason', () => {
    const stop = new AbortController();
    const { signal } = limitTime(1, stop.signal, over);
    stop.abort('asked');
    pass(2);
    expect(signal?.reason).toBe('asked');
    expect(over).not.toHaveBeenCalled();
  });

  test('released, it counts no more', () => {
    const { signal, release } = limitTime(1, undefined, over);
    release();
    pass(2);
    expect(signal?.aborted).toBe(false);
    expect(jest.getTimerCount()).toBe(0);
  });
});
