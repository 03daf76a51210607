import { expect, test } from '@jest/globals';
import { generationsOf, sampleSection } from '../../../../ts/report/page/samples.js';
import { makeSample } from '../../metrics/make_rows.js';
import { makeRun, makeStage, type StageChange } from '../make_run.js';

const entries = (stage: StageChange): (string | undefined)[][] => {
  const run = makeRun({ stages: [makeStage(stage)] });
  const page = sampleSection(generationsOf(run, ({ name }) => name))?.body.text ?? '';
  return [...page.matchAll(/<dt>([^<]*)<\/dt><dd class="text">([^<]*)/g)].map(([, name, text]) => [
    name,
    text,
  ]);
};

test('texts stand beside each other: reference, teacher, student before and after', () => {
  const run = makeRun({
    stages: [
      makeStage({
        name: 'kd',
        samples: [makeSample({ step: 5, text: 'k' }), makeSample({ step: 9, text: 'K' })],
      }),
      makeStage({ name: 'start', begins: true, samples: [makeSample({ text: 's' })] }),
      makeStage({ name: 'teacher', teaches: true, begins: true, samples: [makeSample({ text: 't' })] }),
    ],
  });
  const page = sampleSection(generationsOf(run, ({ name }) => name))?.body.text ?? '';
  const shown = [...page.matchAll(/<dt>([^<]*)<\/dt><dd class="text">([^<]*)/g)];
  expect(shown.map(([, name, text]) => [name, text])).toEqual([
    ['reference', 'cba'],
    ['teacher', 't'],
    ['before: start', 's'],
    ['after: kd', 'K'],
  ]);
});

test('a text from before the first step is the student before', () => {
  const samples = [makeSample({ step: 0, text: 'old' }), makeSample({ step: 9, text: 'new' })];
  expect(entries({ name: 'ammd', samples })).toEqual([
    ['reference', 'cba'],
    ['before: ammd', 'old'],
    ['after: ammd', 'new'],
  ]);
});

test('starts and teachers that say the same are shown once, students each', () => {
  const begun = (name: string) => ({ name, begins: true, samples: [makeSample({ text: 's' })] });
  const stages = ['a', 'b', 'c', 'd'].map(begun);
  const students = ['e', 'f'].map((name) => ({ name, samples: [makeSample({ text: 'x' })] }));
  const run = makeRun({ stages: [...stages.slice(0, 2), ...students].map((stage) => makeStage(stage)) });
  const labels = (all: typeof run): string[] =>
    [
      ...(sampleSection(generationsOf(all, ({ name }) => name))?.body.text ?? '').matchAll(/<dt>([^<]*)/g),
    ].map(([, name = '']) => name);
  expect(labels(run)).toEqual(['reference', 'before: a, b', 'after: e', 'after: f']);
  expect(labels(makeRun({ stages: stages.map((stage) => makeStage(stage)) }))).toEqual([
    'reference',
    'before: a and 3 more',
  ]);
});

test('rows are apart even where their prompts are alike', () => {
  const samples = [0, 1].map((row) => makeSample({ row, text: `text ${row}` }));
  expect(entries({ name: 'kd', samples }).filter(([name]) => name === 'reference')).toHaveLength(2);
});

test('without texts there is no section', () => {
  expect(sampleSection([])).toBeUndefined();
});
