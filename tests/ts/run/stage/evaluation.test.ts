import { describe, expect, test } from '@jest/globals';
import { bleuOf, bleuScores } from '../../../../ts/metrics/corpus_bleu.js';
import type { EvaluationRow } from '../../../../ts/metrics/rows.js';
import type { SizedStagePlan } from '../../../../ts/plan/types.js';
import { validationFigures } from '../../../../ts/run/stage/evaluation.js';
import type { OperationName } from '../../../../ts/wire/protocol.gen.js';
import { bleuCase } from '../../../fixtures/bleu/bleu.js';
import { ammd } from '../../plan/plans.js';
import { StageScene } from './stage_scene.js';

/** Runs a stage of two steps with an evaluation at each extent; every evaluation row as short text. */
async function evaluationsOf(...overrides: readonly string[]) {
  const scene = new StageScene(
    'training.steps=2',
    'evaluation.initial=true',
    'evaluation.every=1',
    'evaluation.rows=5',
    'evaluation.seeds=[10, 20]',
    ...overrides,
  );
  const client = scene.client();
  client.score = (version, _dataset, row) => version + row / 10;
  const error = await scene.go(client);
  expect(error).toBeUndefined();
  const texts = scene.evaluations.map(
    (row) => `${row.step}${row.final ? ' final' : ''} ${row.dataset} ${row.decoding} ${row.seed ?? '-'}`,
  );
  const opsOf = (op: OperationName) => client.ops.filter((it) => it === op).length;
  return { scene, client, rows: scene.evaluations, texts, opsOf };
}

const FULL = (step: string) =>
  ['check', 'extra'].flatMap((set) =>
    ['greedy -', 'sampled 10', 'sampled 20'].map((decoding) => `${step} ${set} ${decoding}`),
  );

describe('what is evaluated', () => {
  test('everything at the start and at the end; in between the validation set with the first seed', async () => {
    const { texts } = await evaluationsOf();
    expect(texts).toEqual([...FULL('0'), '1 check sampled 10', '2 check sampled 10', ...FULL('2 final')]);
  });

  test('a set that is validation and test once', async () => {
    const { texts } = await evaluationsOf('data.test=[check, extra]');
    expect(texts.filter((text) => text.startsWith('2 final'))).toEqual(FULL('2 final'));
  });

  test('in between greedily where there are no seeds', async () => {
    const { texts } = await evaluationsOf('evaluation.seeds=[]');
    expect(texts.filter((text) => text.startsWith('1'))).toEqual(['1 check greedy -']);
    expect(texts.filter((text) => text.includes('final'))).toEqual([
      '2 final check greedy -',
      '2 final extra greedy -',
    ]);
  });

  test('a glance at the start where a schedule is adaptive, unless everything is evaluated there', async () => {
    const share =
      'method.sources.on.probability={kind: adaptive, from: 0, to: 1, increment: 0.5, metric: exact_match}';
    const { texts } = await evaluationsOf(share, 'evaluation.initial=false');
    expect(texts.slice(0, 2)).toEqual(['0 check sampled 10', '1 check sampled 10']);
    expect((await evaluationsOf(share)).texts.slice(0, 7)).toEqual([...FULL('0'), '1 check sampled 10']);
    expect((await evaluationsOf('evaluation.initial=false')).texts[0]).toBe('1 check sampled 10');
  });

  test('without a validation set nothing in between', async () => {
    const { texts } = await evaluationsOf(
      'data.validation=null',
      'evaluation.every=0',
      'evaluation.initial=false',
    );
    expect(texts).toEqual(FULL('2 final').filter((text) => text.includes('extra')));
  });

  test('measured figures come first, on the validation set only', async () => {
    const { texts, rows } = await evaluationsOf('evaluation.measure=[cross_entropy, forward_kl]');
    const measured = texts.filter((text) => text.includes('teacher_forced'));
    expect(measured).toEqual(
      ['0', '1', '2', '2 final'].flatMap((step) => {
        const row = `${step} check teacher_forced -`;
        return [row, row];
      }),
    );
    expect(texts[0]).toBe('0 check teacher_forced -');
    const [first] = rows;
    expect(first).toMatchObject({
      metric: 'cross_entropy',
      rows: 8,
      tokens: 16,
      ended: null,
      mean_length: null,
    });
  });
});

describe('decoding', () => {
  test('is the same during training and at the end', async () => {
    const sampling = { temperature: 0.7, top_p: 0.9, top_k: 5, max_new_tokens: 7, no_repeat_ngram_size: 4 };
    const { client } = await evaluationsOf(`evaluation.sampling=${JSON.stringify(sampling)}`);
    const asked = client.argsOf('evaluate').map((args) => args.sampling);
    expect(asked).toHaveLength(3 * 4 + 2);
    for (const { temperature, ...rest } of asked) {
      expect({ temperature: 0.7, ...rest }).toEqual({ ...sampling, suppress_eos: false });
      expect([0, 0.7]).toContain(temperature); // greedy, sampled
    }
  });
});

describe('its rows', () => {
  test('a glance takes the first rows, the others all', async () => {
    const { client, rows } = await evaluationsOf();
    const counts = rows.map((row) => [row.step, row.final, row.dataset, row.rows]);
    expect(counts).toContainEqual([1, false, 'check', 5]);
    expect(counts).toContainEqual([0, false, 'check', 8]);
    expect(counts).toContainEqual([2, true, 'extra', 3]);
    expect(client.argsOf('evaluate').every(({ rows: asked }) => asked[0] === 0)).toBe(true);
  });

  test('scores of every row are kept, but for glances', async () => {
    const { rows } = await evaluationsOf();
    const first = rows[0];
    expect(first?.scores).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]);
    expect(first?.mean).toBeCloseTo(0.35, 12);
    expect(first).toMatchObject({ ended: 1, mean_length: 4, tokens: 32 });
    expect(rows.find(({ step }) => step === 1)?.scores).toBeUndefined();
  });

  test('greedy is temperature 0 and has no seed; sampling is as configured', async () => {
    const { client } = await evaluationsOf('evaluation.sampling={temperature: 0.7, max_new_tokens: 9}');
    const [greedy, sampled] = client.argsOf('evaluate');
    expect(greedy).toMatchObject({ seed: 0, sampling: { temperature: 0, max_new_tokens: 9 } });
    expect(sampled).toMatchObject({ seed: 10, sampling: { temperature: 0.7, max_new_tokens: 9 } });
  });

  test('texts are kept of the first decoding of a set', async () => {
    const { scene } = await evaluationsOf();
    const samples = scene.events.flatMap((event) => (event.kind === 'sample' ? [event] : []));
    expect(samples.map(({ step, dataset, row }) => `${step} ${dataset} ${row}`)).toEqual([
      ...['0 check 0', '0 check 1', '0 extra 0', '0 extra 1'],
      ...['1 check 0', '1 check 1', '2 check 0', '2 check 1'],
      ...['2 check 0', '2 check 1', '2 extra 0', '2 extra 1'],
    ]);
  });

  test('an empty set is left out', async () => {
    const scene = new StageScene('training.steps=1', 'evaluation.measure=[cross_entropy]');
    const client = scene.client();
    client.rows = { train: 100, check: 0, extra: 0 };
    expect(await scene.go(client)).toBeUndefined();
    expect(scene.evaluations).toEqual([]);
    expect(client.ops).not.toContain('evaluate');
    expect(client.ops).not.toContain('measure');
  });

  test('progress counts up to the rows of each pass', async () => {
    const { scene } = await evaluationsOf('evaluation.measure=[cross_entropy]');
    const phases = scene.events.flatMap((event) =>
      event.kind === 'phase' && event.phase === 'evaluating' ? [event] : [],
    );
    expect(phases.map(({ detail, done, total }) => `${detail}: ${done}/${total}`).slice(0, 3)).toEqual([
      'check, own responses: 8/8',
      'check, greedy: 8/8',
      'check, sampled, seed 10: 8/8',
    ]);
  });
});

describe('figures of the validation set', () => {
  const figuresOf = (
    { rows }: Awaited<ReturnType<typeof evaluationsOf>>,
    stage: SizedStagePlan,
    step: number,
    final: boolean,
  ) =>
    validationFigures(
      stage,
      rows.filter((row) => row.step === step && row.final === final),
    );

  test('compare at every extent: one decoding, and as many rows as in between', async () => {
    const overrides = ['evaluation={measure: [cross_entropy], rows: 5, seeds: [10, 20]}'];
    const evaluated = await evaluationsOf(...overrides);
    const stage = ammd(100, ...overrides);
    // Row r of version v scores v + r / 10; the first five rows have the mean v + 0.2, all eight v + 0.35.
    const close = (version: number) => ({
      exact_match: expect.closeTo(version + 0.2, 9),
      cross_entropy: expect.closeTo(version + 0.2, 9),
    });
    expect(figuresOf(evaluated, stage, 0, false)).toEqual(close(0));
    expect(figuresOf(evaluated, stage, 1, false)).toEqual(close(1));
    expect(figuresOf(evaluated, stage, 2, true)).toEqual(close(2));
  });

  test('BLEU of the first rows is that of these rows, not a mean of scores that are of all', () => {
    const { statistics } = bleuCase('many rows, brevity penalty');
    const row: EvaluationRow = {
      ...{ kind: 'evaluation', stage: 'student', step: 0, final: false, dataset: 'check', metric: 'bleu' },
      ...{ decoding: 'sampled', seed: 10, rows: 300, ended: 1, mean_length: 4, tokens: 1200 },
      ...{ mean: bleuOf(statistics), scores: bleuScores(statistics), statistics },
    };
    const bleu = bleuOf(statistics.slice(0, 5));
    expect(validationFigures(ammd(100, 'evaluation.rows=5'), [row])).toEqual({ bleu });
    const { scores: _scores, statistics: _statistics, ...glance } = { ...row, mean: bleu, rows: 5 };
    expect(validationFigures(ammd(100, 'evaluation.rows=5'), [glance])).toEqual({ bleu });
  });

  test('are of no other set, decoding or seed', () => {
    const row = {
      ...{ kind: 'evaluation' as const, stage: 'student', step: 1, final: false, metric: 'exact_match' },
      ...{ rows: 5, ended: 1, mean_length: 4, tokens: 20 },
    };
    const rows: readonly EvaluationRow[] = [
      { ...row, dataset: 'extra', decoding: 'sampled', seed: 10, mean: 1 },
      { ...row, dataset: 'check', decoding: 'greedy', seed: null, mean: 2 },
      { ...row, dataset: 'check', decoding: 'sampled', seed: 20, mean: 3 },
      { ...row, dataset: 'check', decoding: 'sampled', seed: 10, mean: 4 },
    ];
    expect(validationFigures(ammd(100, 'evaluation.seeds=[10, 20]'), rows)).toEqual({ exact_match: 4 });
    expect(validationFigures(ammd(100, 'evaluation.seeds=[]'), rows)).toEqual({ exact_match: 2 });
  });
});
