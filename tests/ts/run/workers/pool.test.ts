import { expect, test } from '@jest/globals';
import { exitCodeOf } from '../../../../ts/cli/exit_codes.js';
import { isOfTheMachine } from '../../../../ts/run/ending/machine_failure.js';
import { RunError } from '../../../../ts/run/errors.js';
import { availableCores } from '../../../../ts/run/workers/cores.js';
import type { WorkerPool } from '../../../../ts/run/workers/pool.js';
import type { Session } from '../../../../ts/run/workers/session.js';
import { WireError, WorkerFailure } from '../../../../ts/wire/errors.js';
import { ScriptedPool } from '../../store/scripted_pool.js';

const deviceOf = async ({ settings }: Session) => settings.device;

test('workers start when they are needed, one a job, on the devices in turn', async () => {
  const scene = new ScriptedPool(3);
  expect(scene.clients).toHaveLength(0);
  expect(await scene.pool.use(deviceOf)).toBe('cpu');
  expect(await scene.pool.use(deviceOf)).toBe('cuda:1');
  expect(await scene.pool.use(deviceOf)).toBe('cpu');
  expect(await scene.pool.use(deviceOf)).toBe('cpu');
  expect(scene.clients).toHaveLength(3);
});

test('of GPUs that nobody named each further worker takes the next one', async () => {
  const machine = { devices: ['auto'], gpus: ['cuda:0 H100', 'cuda:1 H100'] };
  const devicesOf = async (pool: WorkerPool) => Promise.all([1, 2, 3].map(() => pool.use(deviceOf)));
  expect(await devicesOf(new ScriptedPool(3, undefined, machine).pool)).toEqual(['auto', 'cuda:1', 'cuda:0']);
  expect(await devicesOf(new ScriptedPool(3, undefined, { devices: ['auto'] }).pool)).toEqual([
    'auto',
    'auto',
    'auto',
  ]);
});

test.each([
  [new WireError('invalid_argument', 'it is not there', { op: 'configure' }), 2],
  [new WorkerFailure('worker_exited', 'it exited'), 3],
  [new RunError('python_missing', 'no Python'), 5],
])(
  'a worker that does not come up is a failure of the machine, for all work shares it: %s',
  async (cause, status) => {
    let working = false;
    const machine = { devices: ['auto'], gpus: ['cuda:0 H100', 'cuda:1 H100'] };
    const prepare = () => {
      if (!working) throw cause;
    };
    const scene = new ScriptedPool(2, prepare, machine);
    const failure = await scene.pool.use(deviceOf).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'worker_unusable', cause });
    expect(String(failure)).toContain(`a worker on auto: ${cause.message}`);
    expect(isOfTheMachine(failure)).toBe(true);
    expect(exitCodeOf(failure)).toBe(status);
    // The next one that starts tells which GPUs there are.
    working = true;
    const devices = [await scene.pool.use(deviceOf), await scene.pool.use(deviceOf)];
    expect(devices).toEqual(['auto', 'cuda:0']);
  },
);

test('of several workers each has its share of the cores', async () => {
  const threadsOf = async ({ settings }: Session) => settings.threads;
  const share = Math.max(1, Math.floor(availableCores() / 2));
  expect(await new ScriptedPool(1).pool.use(threadsOf)).toBe(0);
  expect(await new ScriptedPool(2).pool.use(threadsOf)).toBe(share);
  expect(await new ScriptedPool(10_000).pool.use(threadsOf)).toBe(1);
});

test('no more at a time than there are workers, first come first served', async () => {
  const scene = new ScriptedPool(1);
  const order: string[] = [];
  let free: () => void = () => {};
  const first = scene.pool.use(
    () =>
      new Promise<void>((resolve) => {
        free = () => {
          order.push('first ends');
          resolve();
        };
      }),
  );
  const others = ['second', 'third'].map((name) => scene.pool.use(async () => void order.push(name)));
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(order).toEqual([]);
  free();
  await Promise.all([first, ...others]);
  expect(order).toEqual(['first ends', 'second', 'third']);
  expect(scene.clients).toHaveLength(1);
});

test('a worker whose run failed is replaced, one whose run was stopped is not', async () => {
  const scene = new ScriptedPool(1);
  const fail = (error: Error) => scene.pool.use(() => Promise.reject(error));
  await expect(fail(new RunError('interrupted', 'stopped'))).rejects.toThrow('stopped');
  expect(scene.closed).toBe(0);
  await expect(fail(new Error('broken'))).rejects.toThrow('broken');
  expect(scene.closed).toBe(1);
  await scene.pool.use(deviceOf);
  expect(scene.clients).toHaveLength(2);
  await scene.pool.close();
  expect(scene.closed).toBe(2);
});

test('what has not begun when it is stopped starts no worker', async () => {
  const scene = new ScriptedPool(1);
  const stop = new AbortController();
  const broken = scene.pool.use(async () => {
    stop.abort();
    throw new Error('broken');
  }, stop.signal);
  const waiting = scene.pool.use(deviceOf, stop.signal);
  await expect(broken).rejects.toThrow('broken');
  await expect(waiting).rejects.toMatchObject({ code: 'interrupted' });
  expect(scene.clients).toHaveLength(1);
});

test('a worker that is gone is replaced when it is next needed', async () => {
  const scene = new ScriptedPool(1);
  await scene.pool.use(deviceOf);
  scene.clients[0]?.fail(new WorkerFailure('worker_exited', 'it exited'));
  await new Promise((resolve) => setTimeout(resolve, 0));
  await scene.pool.use(deviceOf);
  expect(scene.clients).toHaveLength(2);
});
