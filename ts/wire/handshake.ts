import { timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { WireError } from './errors.js';
import { type HelloMessage, helloMessageSchema, PROTOCOL_HASH, PROTOCOL_VERSION } from './protocol.gen.js';

/** The part of a hello that keeps its shape over all versions, so that any two versions understand a refusal. */
const greetingSchema = z.looseObject({
  kind: z.literal('hello'),
  protocol_version: z.number(),
  protocol_hash: z.string(),
  token: z.string(),
});

function sameToken(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/**
 * Checks a peer's first message: the token first, so that strangers learn nothing, then version and hash.
 *
 * @throws WireError `malformed`, `unauthorized` or `version_mismatch`; the last names both versions.
 */
export function readHello(body: unknown, token: string): HelloMessage {
  const greeting = greetingSchema.safeParse(body);
  if (!greeting.success) throw new WireError('malformed', 'The first message of a worker must be its hello.');
  if (!sameToken(greeting.data.token, token)) {
    throw new WireError('unauthorized', "The worker's token is not this run's.", {
      hint: 'Start the worker with the environment variable AMMD_TOKEN that the controller gave out.',
    });
  }
  const { protocol_version: version, protocol_hash: hash } = greeting.data;
  if (version !== PROTOCOL_VERSION || hash !== PROTOCOL_HASH) {
    throw new WireError(
      'version_mismatch',
      `The controller speaks protocol ${PROTOCOL_VERSION} (${PROTOCOL_HASH.slice(0, 12)}), ` +
        `the worker ${version} (${hash.slice(0, 12)}).`,
      { hint: 'Install controller and worker from the same version.' },
    );
  }
  const hello = helloMessageSchema.safeParse(body);
  if (!hello.success) {
    throw new WireError('malformed', `The worker's hello is malformed: ${z.prettifyError(hello.error)}`);
  }
  return hello.data;
}
