import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { configureWorker } from '../../../../ts/run/workers/configure_worker.js';
import { resolveRun } from '../../config/workspace.js';
import { ScriptedClient } from '../scripted_client.js';

describe('the worker’s settings', () => {
  test('the cache is in the working directory unless the config says otherwise', async () => {
    const client = new ScriptedClient();
    const { worker } = resolveRun().config;
    await configureWorker(client, worker);
    await configureWorker(client, { ...worker, cache_dir: '/cache', threads: 3 });
    const [first, second] = client.argsOf('configure');
    expect(first?.cache_dir).toBe(path.resolve('.ammd/cache'));
    expect(second).toMatchObject({ cache_dir: '/cache', threads: 3, device: 'auto' });
    expect(second).not.toHaveProperty('transport');
    expect(second).not.toHaveProperty('offload_teacher');
  });
});
