import { expect, test } from '@jest/globals';
import { requirePairs } from '../../../ts/reproduce/require_pairs.js';
import type { WorkerPool } from '../../../ts/run/workers/pool.js';
import type { Session } from '../../../ts/run/workers/session.js';
import { failWith, ScriptedClient } from '../run/scripted_client.js';
import { tinyProfile } from './scene.js';

const OTHER = 'models.large={source: org/large}';

/** A pool of one worker that is scripted. */
const poolOf = (client: ScriptedClient) =>
  ({
    use: (work: (session: Session) => Promise<unknown>) => work({ client } as unknown as Session),
  }) as WorkerPool;

function tableOf(profile: ReturnType<typeof tinyProfile>) {
  const table = profile.config.tables.instruct;
  if (table === undefined) throw new Error('the profile has no table instruct');
  return table;
}

test('each pair of a table is compared once, whatever the number of its rows', async () => {
  const [same, other] = [tinyProfile(), tinyProfile(OTHER)];
  const client = new ScriptedClient();
  await requirePairs(same, tableOf(same), poolOf(client));
  expect(client.ops).toEqual([]);
  await requirePairs(other, tableOf(other), poolOf(client));
  expect(client.argsOf('compare_models')).toMatchObject([
    { student: { source: 'builtin:llama' }, teacher: { source: 'org/large' } },
  ]);
});

test('two that cannot be trained together are told with the first row that has them', async () => {
  const profile = tinyProfile(OTHER);
  const client = new ScriptedClient().before('compare_models', 1, failWith('unsupported'));
  await expect(requirePairs(profile, tableOf(profile), poolOf(client))).rejects.toMatchObject({
    code: 'reproduction_failed',
    message: expect.stringMatching(/^row jsd: /),
  });
});

test('a reproduction that is stopped asks no more', async () => {
  const profile = tinyProfile(OTHER);
  const client = new ScriptedClient();
  await requirePairs(profile, tableOf(profile), poolOf(client), AbortSignal.abort());
  expect(client.ops).toEqual([]);
});
