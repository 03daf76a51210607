import { expect, test } from '@jest/globals';
import { configErrorOf, resolveRun } from '../workspace.js';

const MOVING =
  'stages.student.method.terms.anchor={objective: jsd, params: {beta: {kind: linear, from: 0.1, to: 0.9}}}';

test.each(['compiled', 'triton'])('the form %s is compiled for numbers that stay', (form) => {
  expect(resolveRun(`worker.loss_form=${form}`).warnings).toEqual([]);
  expect(configErrorOf(() => resolveRun(`worker.loss_form=${form}`, MOVING)).message).toContain(
    `worker.loss_form: ${form} would compile term anchor of stage student anew whenever beta moves; give auto`,
  );
});

test.each(['auto', 'plain', 'fused'])('the form %s lets them move', (form) => {
  expect(resolveRun(`worker.loss_form=${form}`, MOVING).warnings).toEqual([]);
});
