import { EventEmitter, on } from 'node:events';
import { wasStopped } from '../run/ending/stage_stop.js';

/** Something that tells what happens, and stops cleanly (`wasStopped`) when its signal is aborted, or its time is over. */
export type Work<Event, Result> = (emit: (event: Event) => void, signal: AbortSignal) => Promise<Result>;

/**
 * The events of `work` for one reader, in order, none lost; then its result, or what it failed with. `work` begins when
 * the first event is asked for, and never waits for the reader: what has not been read yet is kept. A reader who leaves
 * early stops `work`, and goes on when it has stopped.
 *
 * @param stop aborting it stops `work` as well; what that fails with is then thrown.
 */
export async function* eventsOf<Event, Result>(
  work: Work<Event, Result>,
  stop: AbortSignal | undefined,
): AsyncGenerator<Event, Result, void> {
  const left = new AbortController();
  const source = new EventEmitter();
  const emitted: AsyncIterable<readonly Event[]> = on(source, 'event', { close: ['end'] });
  const signal = stop === undefined ? left.signal : AbortSignal.any([stop, left.signal]);
  const result = work((event) => void source.emit('event', event), signal).finally(() => source.emit('end'));
  // It may fail while its last events are read; whoever awaits it later still learns why.
  result.catch(() => {});
  let reading = true;
  try {
    for await (const events of emitted) yield* events;
    reading = false;
    return await result;
  } finally {
    if (reading) {
      left.abort();
      await result.catch(rethrowUnlessStopped);
    }
  }
}

function rethrowUnlessStopped(error: unknown): void {
  if (!wasStopped(error)) throw error;
}
