import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { eventsOf, type Work } from '../../../ts/api/event_stream.js';
import { RunError } from '../../../ts/run/errors.js';

const interrupted = () => new RunError('interrupted', 'stopped after step 3');

/** Emits 1, 2, 3, … each a turn of the event loop later, and stops cleanly after `last`, or when it is asked to. */
function counting(last: number, said: string[] = []): Work<number, string> {
  return async (emit, signal) => {
    for (let n = 1; n <= last; n += 1) {
      await turn();
      emit(n);
      if (!signal.aborted) continue;
      await turn();
      said.push('checkpoint written');
      throw interrupted();
    }
    said.push('done');
    return 'result';
  };
}

async function read<Event>(events: AsyncIterable<Event>, into: Event[] = []): Promise<Event[]> {
  for await (const event of events) into.push(event);
  return into;
}

describe('a reader who stays', () => {
  test('gets every event in order, and the result', async () => {
    expect(await read(eventsOf(counting(5), undefined))).toEqual([1, 2, 3, 4, 5]);
    const events = eventsOf(counting(1), undefined);
    expect(await events.next()).toEqual({ done: false, value: 1 });
    expect(await events.next()).toEqual({ done: true, value: 'result' });
  });

  test('may be slow: the work goes on to its end, and nothing is lost', async () => {
    const said: string[] = [];
    const events = eventsOf(counting(1000, said), undefined);
    expect((await events.next()).value).toBe(1);
    while (said.length === 0) await turn();
    expect(said).toEqual(['done']);
    expect(await read(events)).toEqual(Array.from({ length: 999 }, (_, index) => index + 2));
  });

  test('gets events of one moment together with those before an error, then the error', async () => {
    const failing: Work<number, string> = async (emit) => {
      for (const n of [1, 2, 3]) emit(n);
      throw new Error('broke');
    };
    const got: number[] = [];
    await expect(read(eventsOf(failing, undefined), got)).rejects.toThrow('broke');
    expect(got).toEqual([1, 2, 3]);
  });

  test('is told when the work was stopped from outside', async () => {
    const stop = new AbortController();
    const got: number[] = [];
    const reading = read(eventsOf(counting(1e9), stop.signal), got);
    while (got.length < 3) await turn();
    stop.abort();
    await expect(reading).rejects.toMatchObject({ code: 'interrupted' });
  });
});

describe('a reader who leaves', () => {
  test('stops the work, and goes on when it has stopped', async () => {
    const said: string[] = [];
    for await (const event of eventsOf(counting(1e9, said), undefined)) if (event === 3) break;
    expect(said).toEqual(['checkpoint written']);
  });

  test('by an error of its own gets that error, after the work has stopped', async () => {
    const said: string[] = [];
    const leave = async () => {
      for await (const event of eventsOf(counting(1e9, said), undefined))
        if (event === 3) throw new Error('mine');
    };
    await expect(leave()).rejects.toThrow('mine');
    expect(said).toEqual(['checkpoint written']);
  });

  test.each(['interrupted', 'time_over'] as const)(
    'while the work stops as %s is not told of it',
    async (code) => {
      const said: string[] = [];
      const stopping: Work<number, string> = async (emit, signal) => {
        emit(1);
        while (!signal.aborted) await turn();
        said.push('checkpoint written');
        throw new RunError(code, 'stopped after step 1');
      };
      for await (const _ of eventsOf(stopping, undefined)) break;
      expect(said).toEqual(['checkpoint written']);
    },
  );

  test('learns when stopping failed', async () => {
    const stubborn: Work<number, string> = async (emit, signal) => {
      emit(1);
      while (!signal.aborted) await turn();
      throw new Error('the disk is full');
    };
    const leave = async () => {
      for await (const _ of eventsOf(stubborn, undefined)) break;
    };
    await expect(leave()).rejects.toThrow('the disk is full');
  });

  test('after the last event leaves work that is done', async () => {
    const said: string[] = [];
    for await (const event of eventsOf(counting(3, said), undefined)) {
      while (event === 3 && said.length === 0) await turn();
      if (event === 3) break;
    }
    expect(said).toEqual(['done']);
  });

  test('before the first event has begun nothing', async () => {
    const said: string[] = [];
    const events = eventsOf(counting(3, said), undefined);
    await events.return('unused');
    await turn();
    expect(said).toEqual([]);
  });
});
