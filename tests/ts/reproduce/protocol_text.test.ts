import { expect, test } from '@jest/globals';
import { resolveProfile } from '../../../ts/reproduce/profile.js';
import { protocolOf } from '../../../ts/reproduce/protocol_text.js';
import { tinyProfile } from './scene.js';

function protocol(profile = tinyProfile()): string {
  const table = profile.config.tables.instruct ?? profile.config.tables.tasks;
  if (table === undefined) throw new Error('the profile has the table');
  return protocolOf(profile, table, [5, 6]).join('\n');
}

test('what is equal for all rows is said', () => {
  expect(protocol()).toContain('2 training seeds (5, 6)');
  expect(protocol()).toContain('for the same number of steps and rows a batch');
  expect(protocol()).toContain('best of 2 values of training.lr.from (0.001, 0.004)');
  expect(protocol()).not.toContain('as asked for');
});

test('a setting is chosen by what the table compares, and that is said', () => {
  expect(protocol()).toContain(
    'was chosen by Exact match (sampled) on the set tuning with training seed 1, before any test set',
  );
  expect(protocol(resolveProfile('t5-samsum'))).toContain(
    'was chosen by ROUGE-L (greedy) on the set validation',
  );
});

test('what is not equal is not said to be', () => {
  const text = protocol(tinyProfile('stages.jsd.training.steps=9'));
  expect(text).not.toContain('for the same number of steps');
  expect(text).toContain('not all do: 9 steps of 8 rows for jsd; 6 steps of 8 rows for ammd.');
  expect(text).toContain('Not as in the profile tiny, but as asked for: stages.jsd.training.steps=9.');
});

test('rows that learn from one set of responses of the teacher are named', () => {
  expect(protocol()).not.toContain('drawn once');
  expect(protocol(resolveProfile('mini'))).toContain('the same for all seeds of seqkd.');
});

test('epochs count as the steps that they make', () => {
  expect(protocol(resolveProfile('mini'))).toContain('for the same number of steps');
  expect(protocol(resolveProfile('gpt2'))).toMatch(
    /8445 steps of 32 rows for sft, .*5000 steps of 64 rows for minillm/,
  );
});

test('students that are chosen checkpoints are said to be', () => {
  const CHOSEN = 'is the checkpoint that was best on the validation set by';
  expect(protocol(resolveProfile('gpt2'))).toContain(`Each student ${CHOSEN} ROUGE-L.`);
  expect(protocol()).toContain(`The student of ammd ${CHOSEN} KL(teacher‖student).`);
  expect(protocol(tinyProfile('stages.ammd.evaluation.best=null'))).not.toContain('checkpoint');
});
