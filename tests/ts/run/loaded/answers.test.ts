import { describe, expect, test } from '@jest/globals';
import { planRun } from '../../../../ts/plan/run.js';
import { requireAnswers } from '../../../../ts/run/loaded/answers.js';
import type { LoadedData } from '../../../../ts/run/loaded/loaded_stage.js';
import { resolveRun } from '../../config/workspace.js';

function data(rows: number, unanswered: number): LoadedData {
  const none = { bad_lines: 0, cut_prompts: 0, dropped_prompts: 0, cut_responses: 0, groups: {} };
  return { rows, unanswered, content_hash: 'b2', prompt_tokens: 20, response_tokens: 30, ...none };
}

/** The stage with dataset and student's rows, a validation set `check`, and so many rows without an answer. */
function required(unanswered: Readonly<Record<string, number>>, ...overrides: readonly string[]) {
  const stage = planRun(resolveRun(...overrides)).stages[1];
  if (stage === undefined) throw new Error('no second stage');
  const datasets = stage.datasets.map((name) => [name, data(10, unanswered[name] ?? 0)] as const);
  return () => requireAnswers(stage, Object.fromEntries(datasets));
}

describe('rows without an answer', () => {
  test('are fine for training, as long as there are others', () => {
    expect(required({ train: 9 })).not.toThrow();
  });

  test('are refused where they alone are learned from', () => {
    expect(required({ train: 10 })).toThrow(
      'stage student: part off learns the answers of dataset train, and none of its rows has one',
    );
  });

  test('are all that a student needs who answers by itself', () => {
    const method =
      'stages.student.method={extends: null, name: own, sources: {on: {from: student, share: 1}}, ' +
      'terms: {on: {objective: reverse_kl, part: on}}}';
    expect(required({ train: 10 }, method)).not.toThrow();
    expect(required({ train: 10 }, method, 'stages.student.method.sources.on.probability=0.5')).toThrow(
      'part on learns the answers of dataset train, and none of its rows has one',
    );
  });

  test('are refused in sets that responses are scored on, before anything is trained', () => {
    expect(required({ check: 3 })).toThrow(
      '3 of 10 rows of dataset check have no answer to score responses by',
    );
    const test = ['data.more={source: "builtin:microtasks"}', 'stages.student.data.test=[more]'];
    expect(required({ more: 1 }, ...test)).toThrow('1 of 10 rows of dataset more have no answer');
  });
});
