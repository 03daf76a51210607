import { describe, expect, jest, test } from '@jest/globals';
import { drop, errorOf, open } from './scripted_worker.js';

describe('epochs', () => {
  test('what follows a failure is aborted with the first cause, until the next epoch', async () => {
    const { link, client } = open();
    const [before, failing, behind] = [drop(client), drop(client), drop(client)];
    link.succeed(1);
    link.refuse(2, 'unknown_handle', { applied: false });
    link.refuse(3, 'aborted', { aborted_by: 2 });
    await before;
    const first = await errorOf(failing);
    expect(first).toMatchObject({ code: 'unknown_handle', id: 2, op: 'drop' });
    expect(await errorOf(behind)).toMatchObject({
      code: 'aborted',
      abortedBy: 2,
      cause: first,
      applied: false,
    });

    // Not even sent: the worker would refuse it.
    expect(await errorOf(drop(client))).toMatchObject({ code: 'aborted', abortedBy: 2, cause: first });
    expect(link.requests).toHaveLength(3);

    expect(client.openEpoch()).toBe(1);
    expect(client.epoch).toBe(1);
    const next = drop(client);
    expect(link.requests[3]).toMatchObject({ epoch: 1 });
    link.succeed(link.requests[3]?.id ?? 0);
    await next;
  });

  test('what waits for credits behind a failure is never sent', async () => {
    const { link, client } = open({ credits: { requests: 1, bytes: 1e6, steps: 2 } });
    const [failing, waiting] = [drop(client), drop(client)];
    link.refuse(1, 'internal', { applied: true, detail: 'Traceback' });
    expect(await errorOf(failing)).toMatchObject({ applied: true, detail: 'Traceback' });
    expect(await errorOf(waiting)).toMatchObject({ code: 'aborted', applied: false });
    expect(link.requests).toHaveLength(1);
    await client.idle();
  });

  test('a request refused on this side fails the epoch too', async () => {
    const { client } = open();
    const first = await errorOf(drop(client, 'nonsense'));
    expect(await errorOf(drop(client))).toMatchObject({ code: 'aborted', cause: first });
  });

  test('the calls of the next epoch go out while the old one is still answered', async () => {
    const { link, client } = open();
    const failing = drop(client);
    const behind = drop(client);
    link.refuse(1, 'internal');
    await errorOf(failing);
    client.openEpoch();
    const next = drop(client);
    link.refuse(2, 'aborted', { aborted_by: 1 });
    link.succeed(3);
    expect(await errorOf(behind)).toMatchObject({ code: 'aborted' });
    await next;
  });

  test('an aborted reply whose cause is not known here stands for itself', async () => {
    const { link, client } = open();
    const call = drop(client);
    link.refuse(1, 'aborted', { aborted_by: 0 });
    expect(await errorOf(call)).toMatchObject({ code: 'aborted', abortedBy: 0, id: 1 });
  });
});

describe('busy', () => {
  test('what was not accepted is sent again in order, in a new epoch, when the queue is empty', async () => {
    const { link, client } = open();
    const calls = ['a', 'b', 'c'].map((name) => drop(client, `session/${name}`));
    link.refuse(2, 'busy');
    link.refuse(3, 'aborted', { aborted_by: 2 });
    const later = drop(client, 'session/d');
    expect(link.requests).toHaveLength(3);
    link.succeed(1);
    const again = link.requests.slice(3);
    expect(again.map(({ args }) => args.handles)).toEqual([['session/b'], ['session/c'], ['session/d']]);
    expect(new Set(again.map(({ epoch }) => epoch))).toEqual(new Set([1]));
    for (const { id } of again) link.succeed(id);
    await Promise.all([...calls, later]);
    expect(client.traffic()).toMatchObject({ inFlight: 0, waiting: 0 });
  });

  test('a worker that takes nothing although it is idle is reported', async () => {
    const { link, client } = open();
    const [call, behind] = [drop(client), drop(client)];
    link.refuse(1, 'busy');
    link.refuse(2, 'aborted', { aborted_by: 1 });
    link.refuse(3, 'busy');
    link.refuse(4, 'aborted', { aborted_by: 3 });
    const error = await errorOf(call);
    expect(error).toMatchObject({ code: 'busy', applied: false });
    expect(await errorOf(behind)).toMatchObject({ code: 'aborted', cause: error });
    await client.idle();
  });

  test('an epoch opened meanwhile stays the later one', async () => {
    const { link, client } = open();
    const [running, refused] = [drop(client, 'session/a'), drop(client, 'session/b')];
    link.refuse(2, 'busy');
    client.openEpoch();
    const later = drop(client, 'session/c');
    link.succeed(1);
    const [again, next] = link.requests.slice(2);
    expect(again?.args.handles).toEqual(['session/b']);
    expect(next?.args.handles).toEqual(['session/c']);
    expect(next?.epoch).toBeGreaterThan(again?.epoch ?? 0);
    expect(client.epoch).toBe(next?.epoch);
    for (const request of [again, next]) link.succeed(request?.id ?? 0);
    await Promise.all([running, refused, later]);
  });

  test('a failure of an earlier request aborts what waits to be sent again', async () => {
    const { link, client } = open();
    const [failing, refused] = [drop(client), drop(client)];
    link.refuse(2, 'busy');
    link.refuse(1, 'internal');
    const first = await errorOf(failing);
    expect(await errorOf(refused)).toMatchObject({ code: 'aborted', cause: first });
    expect(link.requests).toHaveLength(2);
  });
});

describe('cancel', () => {
  test('goes to the worker, whose reply decides', async () => {
    const { link, client } = open();
    const [early, late] = [new AbortController(), new AbortController()];
    const cancelled = drop(client, 'session/a', { signal: early.signal });
    early.abort('not needed');
    expect(link.sent.slice(1)).toEqual([{ kind: 'cancel', id: 1 }]);
    link.refuse(1, 'cancelled', { applied: false });
    expect(await errorOf(cancelled)).toMatchObject({ code: 'cancelled', applied: false, id: 1 });

    client.openEpoch();
    const finished = drop(client, 'session/a', { signal: late.signal });
    late.abort();
    link.succeed(2); // it was past its commit point
    await finished;
  });

  test('of a call that still waits is settled here, and fails the epoch', async () => {
    const { link, client } = open({ credits: { requests: 1, bytes: 1e6, steps: 2 } });
    const controller = new AbortController();
    const running = drop(client);
    const waiting = drop(client, 'session/a', { signal: controller.signal });
    const behind = drop(client);
    controller.abort();
    const error = await errorOf(waiting);
    expect(error).toMatchObject({ code: 'cancelled', applied: false });
    expect(await errorOf(behind)).toMatchObject({ code: 'aborted', cause: error });
    expect(link.sent).toHaveLength(1);
    link.succeed(1);
    await running;
  });

  test('before the call is sent at all', async () => {
    const { link, client } = open();
    expect(await errorOf(drop(client, 'session/a', { signal: AbortSignal.abort() }))).toMatchObject({
      code: 'cancelled',
      applied: false,
    });
    expect(link.sent).toHaveLength(0);
  });

  test('of an operation that does not answer ends the wait; its late reply is dropped', async () => {
    const { link, client } = open({ cancelGraceMs: 1, credits: { requests: 1, bytes: 1e6, steps: 2 } });
    const controller = new AbortController();
    const call = drop(client, 'session/a', { signal: controller.signal });
    controller.abort();
    expect(await errorOf(call)).toMatchObject({ code: 'cancelled', applied: undefined });
    client.openEpoch();
    const next = drop(client);
    // The worker is still at it, so its credit is not free.
    expect(link.requests).toHaveLength(1);
    link.succeed(1);
    expect(client.traffic().dropped).toBe(1);
    link.succeed(2);
    await next;
  });

  test('one signal may serve many calls, and is let go afterwards', async () => {
    const warned = jest.fn();
    process.on('warning', warned);
    const { link, client } = open();
    const controller = new AbortController();
    const calls = Array.from({ length: 20 }, () => drop(client, 'session/a', { signal: controller.signal }));
    for (let id = 1; id <= 20; id += 1) link.succeed(id);
    await Promise.all(calls);
    controller.abort();
    await new Promise((resolve) => setImmediate(resolve));
    expect(link.sent.filter(({ kind }) => kind === 'cancel')).toHaveLength(0);
    expect(warned).not.toHaveBeenCalled();
    process.off('warning', warned);
  });
});
