import { afterEach } from '@jest/globals';
import type { CallOptions, WorkerClient } from '../../../ts/dispatch/client.js';
import { Pipeline, type PipelineOptions } from '../../../ts/dispatch/pipeline.js';
import type { WireError } from '../../../ts/wire/errors.js';
import { FakeLink } from '../wire/fake_link.js';

const links: FakeLink[] = [];

afterEach(async () => {
  for (const link of links.splice(0)) await link.connection.close();
});

/** A pipeline whose worker says what the test makes it say; closed after the test. */
export function open(options: PipelineOptions = {}) {
  const link = new FakeLink();
  links.push(link);
  return { link, client: new Pipeline(link.connection, options) };
}

/** The smallest request. */
export const drop = (client: WorkerClient, name = 'session/a', options: CallOptions = {}) =>
  client.call('drop', { handles: [name] }, options);

export async function errorOf(promise: Promise<unknown>): Promise<WireError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome === undefined) throw new Error('the call succeeded');
  return outcome as WireError;
}
