import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { outcomeOf, startCommand, TINY, trace, until } from './tiny_run.js';

const folder = mkdtempSync(path.join(tmpdir(), 'ammd-ahead-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// Half of the rows the student's: of a single one the same tokens are often drawn by the next weights too.
const SETTINGS = [
  ...[
    '--set',
    'stages.ammd.method.sources.on.share=0.5',
    '--set',
    'stages.ammd.method.sources.off.share=0.5',
  ],
  // Fast enough that the tokens drawn change from one step to the next.
  ...['--set', 'stages.ammd.training.lr=0.03'],
  ...['--set', 'stages.ammd.method.adversary.warmup_steps=1', '--json'],
];
const staleness = (steps: number) => ['--set', `stages.ammd.method.sources.on.max_staleness=${steps}`];
const runIn = (name: string) => path.join(folder, name);
const metric = (name: string, key: string) =>
  outcomeOf(runIn(name), 'ammd').metrics.map(({ metrics }) => (metrics as Record<string, number>)[key]);

async function train(name: string, ...more: readonly string[]): Promise<void> {
  const { exit, stderr } = startCommand(['train', TINY, ...SETTINGS, ...more, '--out', runIn(name)]);
  const { code } = await exit;
  expect(`${code} ${stderr()}`).toMatch(/^0 /);
}

beforeAll(async () => {
  await train('ahead', ...staleness(1));
  await train('fresh', ...staleness(0));
});

describe('a stage whose responses are drawn while the student trains', () => {
  test('learns from responses of the student before its last step', () => {
    // One step of the critics alone, then the student's first: until its second the weights are those of the start.
    expect(metric('ahead', 'rollout/staleness')).toEqual([0, 0, 1, 1, 1, 1, 1]);
    expect(metric('fresh', 'rollout/staleness')).toEqual(Array(7).fill(0));
    const [ahead, fresh] = ['ahead', 'fresh'].map((name) => metric(name, 'loss'));
    expect(ahead?.slice(1).every(Number.isFinite)).toBe(true);
    // The first that differs is the first that is stale.
    expect(ahead?.findIndex((loss, step) => loss !== fresh?.[step])).toBe(2);
  });

  test('killed and resumed it ends with the same rows and weights, bit for bit', async () => {
    const traceFile = path.join(folder, 'trace.jsonl');
    const args = [
      'train',
      TINY,
      ...SETTINGS,
      ...staleness(1),
      '--out',
      runIn('killed'),
      '--trace',
      traceFile,
    ];
    const { process: controller, exit } = startCommand(args);
    const steps = () =>
      trace(traceFile).filter(({ op, direction }) => op === 'end_step' && direction === 'received');
    // Six steps of the teacher's stage, then five of the seven: the checkpoint is of the fourth.
    await until(() => steps().length >= 11, 'the fifth step');
    controller.kill('SIGKILL');
    await exit;
    const resumed = startCommand(['resume', runIn('killed'), '--json', '--trace', traceFile]);
    expect((await resumed.exit).code).toBe(0);
    expect(outcomeOf(runIn('killed'), 'ammd')).toEqual(outcomeOf(runIn('ahead'), 'ammd'));
  });
});
