import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { ScriptedClient } from '../scripted_client.js';
import { failWith } from '../scripted_client.js';
import { StageScene } from './stage_scene.js';

/** Of the training set. */
const ROWS = 100;

/** A worker to whom row 99 is the easiest as teacher, and whose losses as student fall as it learns. */
function scored(scene: StageScene): ScriptedClient {
  const client = scene.client();
  client.score = (version, _dataset, row) => (row % 2 === 0 ? 2 : 1) * (1 + row) - version * row;
  client.answerMeasure = ({ role, rows, metrics }) => ({
    values: Object.fromEntries(
      metrics.map((metric) => [
        metric,
        rows.map((row) => (role === 'teacher' ? ROWS - row : client.score(client.version, 'train', row))),
      ]),
    ),
    tokens: rows.map((row) => row % 7),
  });
  return client;
}

/** Rows that the first step of a stage takes, those of the dataset first. */
function firstRows(client: ScriptedClient): readonly number[] {
  const [build] = client.argsOf('build');
  const [generate] = client.argsOf('generate');
  return [...(build?.parts.flatMap(({ rows }) => rows ?? []) ?? []), ...(generate?.rows ?? [])];
}

const ordering = (client: ScriptedClient) =>
  client.argsOf('measure').map(({ role, metrics }) => [role, ...metrics].join(' '));

const ascending = (figure: (row: number) => number) =>
  Array.from({ length: ROWS }, (_, row) => row)
    .sort((a, b) => figure(a) - figure(b) || a - b)
    .slice(0, 8);

const gap = (row: number) => (row % 2 === 0 ? 2 : 1) * (1 + row) - (ROWS - row);

describe('the order of rows', () => {
  test.each<[string, readonly string[], readonly number[]]>([
    ['length', ['student'], ascending((row) => row % 7)],
    ['{by: length, descending: true}', ['student'], ascending((row) => -(row % 7))],
    ['teacher_loss', ['teacher cross_entropy'], ascending((row) => -row)],
    ['gap', ['teacher cross_entropy', 'student cross_entropy'], ascending(gap)],
  ])('by %s is measured before the first step', async (order, measured, rows) => {
    const scene = new StageScene(`training.order=${order}`);
    const client = scored(scene);
    expect(await scene.go(client)).toBeUndefined();
    expect(ordering(client)).toEqual(measured);
    expect(firstRows(client)).toEqual(rows);
    const phases = scene.events.flatMap((event) =>
      event.kind === 'phase' && event.phase === 'ordering' ? [[event.done, event.total]] : [],
    );
    expect(phases).toEqual(measured.map(() => [ROWS, ROWS]));
  });

  test('by shuffling needs no measurement', async () => {
    const scene = new StageScene();
    const client = scored(scene);
    await scene.go(client);
    expect(client.ops).not.toContain('measure');
    expect(existsSync(scene.folder.order)).toBe(false);
  });

  test('of the student at the start holds after it has learnt', async () => {
    const whole = new StageScene('training.order=gap', 'checkpoints.every=2');
    await whole.go(scored(whole));
    const scene = new StageScene('training.order=gap', 'checkpoints.every=2');
    await scene.go(scored(scene).before('step_student', 4, failWith('internal')));
    const second = scored(scene);
    expect(await scene.go(second)).toBeUndefined();
    expect(second.ops).not.toContain('measure');
    expect(scene.outcome()).toEqual(whole.outcome());
  });

  test.each<[string, (text: string) => string]>([
    ['damaged', (text) => text.replace('"by": "gap"', '"by": "length"')],
    ['cut off', (text) => text.slice(0, -20)],
    ['of other data', (text) => text.replaceAll('"b2"', '"c3"')],
  ])('is measured anew where the file is %s, with the student as it was', async (_, change) => {
    const scene = new StageScene('training.order=gap', 'checkpoints.every=2');
    await scene.go(scored(scene).before('step_student', 4, failWith('internal')));
    const text = readFileSync(scene.folder.order, 'utf8');
    writeFileSync(scene.folder.order, change(text));
    const second = scored(scene);
    expect(await scene.go(second)).toBeUndefined();
    expect(second.ops.indexOf('measure')).toBeLessThan(second.ops.indexOf('restore'));
    expect(readFileSync(scene.folder.order, 'utf8')).toBe(text);
    expect(scene.notes).toContainEqual(expect.stringContaining('rows are measured anew'));
  });

  test('can be interrupted, and is then measured again', async () => {
    const scene = new StageScene('training.order=gap');
    const stop = new AbortController();
    const client = scored(scene).before('measure', 2, () => stop.abort());
    expect(await scene.go(client, { signal: stop.signal })).toMatchObject({
      code: 'interrupted',
      message: 'stopped in stage student, while its rows were ordered',
    });
    expect(existsSync(scene.folder.order)).toBe(false);
    const second = scored(scene);
    expect(await scene.go(second)).toBeUndefined();
    expect(ordering(second)).toHaveLength(2);
  });
});
