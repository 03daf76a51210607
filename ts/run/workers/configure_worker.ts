import path from 'node:path';
import type { RunConfig } from '../../config/schema.js';
import type { WorkerClient } from '../../dispatch/client.js';
import type { OperationResult } from '../../wire/protocol.gen.js';

/** Device, threads and budgets; the first call of a session. */
export async function configureWorker(
  client: WorkerClient,
  worker: RunConfig['worker'],
): Promise<OperationResult<'configure'>> {
  const { transport: _transport, offload_teacher: _offload, cache_dir, ...settings } = worker;
  const cache = path.resolve(cache_dir ?? path.join('.ammd', 'cache'));
  return (await client.call('configure', { ...settings, cache_dir: cache })).result;
}
