import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { listenForStop, type StopSignal } from '../../../ts/cli/stop_signal.js';

const said: string[] = [];
const exit = jest.fn<(status: number) => void>();
let clock = 0;
let stop: StopSignal;
beforeEach(() => {
  said.length = 0;
  exit.mockClear();
  clock = 1000;
  jest.spyOn(performance, 'now').mockImplementation(() => clock);
  stop = listenForStop((message) => said.push(message), exit);
});
afterEach(() => {
  stop.release();
  jest.restoreAllMocks();
});

describe.each(['SIGINT', 'SIGTERM'] as const)('%s', (signal) => {
  test('asks for a clean stop and says how to stop at once', () => {
    expect(stop.signal.aborted).toBe(false);
    process.emit(signal, signal);
    expect(stop.signal.aborted).toBe(true);
    expect(said).toEqual([expect.stringMatching(new RegExp(`^${signal}: .*once more stops at once`))]);
    expect(exit).not.toHaveBeenCalled();
  });

  test('a second time ends the process', () => {
    process.emit('SIGINT', 'SIGINT');
    clock += 2000;
    process.emit(signal, signal);
    expect(exit).toHaveBeenCalledWith(130);
    expect(said).toHaveLength(1);
  });
});

describe('SIGHUP', () => {
  const hangUp = () => process.emit('SIGHUP', 'SIGHUP');

  test('of a terminal asks for a clean stop, and never ends the process', () => {
    stop.release();
    stop = listenForStop((message) => said.push(message), exit, true);
    hangUp();
    clock += 2000;
    hangUp();
    expect(stop.signal.aborted).toBe(true);
    expect(said).toEqual([expect.stringMatching(/^SIGHUP: stopping after this step/)]);
    expect(exit).not.toHaveBeenCalled();
  });

  test('asks for nothing where the output goes elsewhere, as under nohup', () => {
    stop.release();
    stop = listenForStop((message) => said.push(message), exit, false);
    hangUp();
    expect(stop.signal.aborted).toBe(false);
    expect(said).toEqual([]);
  });
});

test('the same Ctrl-C passed on by npm is no second one', () => {
  process.emit('SIGINT', 'SIGINT');
  clock += 100;
  process.emit('SIGINT', 'SIGINT');
  expect(exit).not.toHaveBeenCalled();
});

test('released, it leaves no listener behind', () => {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const counts = () => signals.map((signal) => process.listenerCount(signal));
  const listening = counts();
  stop.release();
  expect(counts()).toEqual(listening.map((count) => count - 1));
});
