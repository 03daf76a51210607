import { describe, expect, test } from '@jest/globals';
import { jsonLinesOf, linesOf, runCaptured } from './captured.js';

const TINY = ['--profile', 'tests/fixtures/reproduce/tiny.yaml', '--dry-run'];

describe('ammd reproduce refuses', () => {
  test.each<[readonly string[], RegExp]>([
    [['dynamics', ...TINY], /the profile tiny has no table dynamics\n {2}it has: instruct, beta/],
    [['constructor', ...TINY], /the profile tiny has no table constructor/],
    [['instruct', ...TINY, '--seeds', '0'], /--seeds/],
    [['instruct', ...TINY, '--devices', 'cpu,gpu'], /expected auto, cpu, cuda or cuda:N/],
    [['instruct', ...TINY, '--devices', ','], /expected auto, cpu, cuda or cuda:N/],
    [['instruct', '--profile', 'minni'], /did you mean "mini"/],
  ])('%j', async (args, message) => {
    const { status, stderr } = await runCaptured('reproduce', ...args);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });
});

test('devices may be written with spaces between them', async () => {
  const lines = await linesOf('reproduce', 'instruct', ...TINY, '--devices', 'cuda:0, cuda:1');
  expect(lines.join('\n')).toContain('9 stages, 0 done');
});

test('a plan for scripts: every stage and what is missing, as one object', async () => {
  const [plan, ...more] = await jsonLinesOf('reproduce', 'instruct', ...TINY);
  expect(more).toEqual([]);
  expect(plan).toMatchObject({ profile: 'tiny', table: 'instruct', missing: [], evaluations: { done: 0 } });
  expect(plan?.stages).toHaveLength(9);
  const [samsum] = await jsonLinesOf('reproduce', 'tasks', '--profile', 't5-samsum', '--dry-run');
  expect(samsum).toMatchObject({ profile: 't5-samsum', table: 'tasks', missing: { length: 3 } });
  const [gpt2] = await jsonLinesOf('reproduce', 'instruct', '--profile', 'gpt2', '--dry-run');
  expect(gpt2?.missing).toContainEqual(
    expect.objectContaining({ path: 'data.train.source', message: expect.stringContaining('dolly') }),
  );
});
