import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import type { ResolvedSweep } from '../../../ts/sweep/resolve.js';
import { openStudy } from '../../../ts/sweep/study.js';
import { SweepFolder } from '../../../ts/sweep/sweep_folder.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';
import { LR, resolveSmall, WEIGHT } from './scene.js';

/** A Python that answers with these lines, whatever it is asked, and keeps the questions. */
function fakePython(folder: string, answers: readonly object[]): string {
  const file = join(folder, 'python');
  const script = `#!${process.execPath}
const { appendFileSync } = require('node:fs');
const answers = ${JSON.stringify(answers.map((answer) => JSON.stringify(answer)))};
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  appendFileSync(${JSON.stringify(join(folder, 'questions'))}, line + '\\n');
  console.log(answers.shift());
});`;
  writeFileSync(file, script);
  chmodSync(file, 0o755);
  return file;
}

const open = (resolved: ResolvedSweep, path: string, python: string) =>
  openStudy(resolved, new SweepFolder(path), python);

test('the search is asked in its own words, and values come back as they stand in the sweep', async () => {
  const path = temporaryFolder();
  const chosen = { [LR]: 2e-3, [WEIGHT]: '0.5' };
  const python = fakePython(path, [
    {
      trials: [
        { number: 0, running: false, parameters: chosen },
        { number: 1, running: true, parameters: chosen },
      ],
    },
    { number: 2, parameters: { ...chosen, [WEIGHT]: '0' } },
    { prune: true },
    {},
    { importances: { [LR]: 0.75, [WEIGHT]: 0.25 } },
  ]);
  const study = await open(resolveSmall('pruning.min_steps=5', 'search.seed=4'), path, python);
  expect(study.ended).toEqual([0]);
  expect(study.running).toEqual([{ number: 1, parameters: { [LR]: 2e-3, [WEIGHT]: 0.5 } }]);
  expect(await study.ask()).toEqual({ number: 2, parameters: { [LR]: 2e-3, [WEIGHT]: 0 } });
  expect(await study.report(2, 5, 12.5)).toBe(true);
  await study.tell({ number: 2, state: 'pruned', value: null, reason: 'behind' });
  expect(await study.weigh()).toEqual({ [LR]: 0.75, [WEIGHT]: 0.25 });
  await study.close();
  const questions = readFileSync(join(path, 'questions'), 'utf8').trimEnd().split('\n');
  expect(questions.map((line) => JSON.parse(line) as unknown)).toEqual([
    {
      kind: 'open',
      journal: join(path, 'study.jsonl'),
      direction: 'maximize',
      space: {
        [LR]: { kind: 'float', low: 1e-4, high: 1e-2, log: true },
        [WEIGHT]: { kind: 'values', values: ['0', '0.1', '0.5'] },
      },
      search: { kind: 'random', seed: 4, startup_trials: 10 },
      pruning: { min_steps: 5, reduction_factor: 3 },
    },
    { kind: 'ask' },
    { kind: 'report', number: 2, step: 5, value: 12.5 },
    { kind: 'tell', number: 2, state: 'pruned', value: null, reason: 'behind' },
    { kind: 'weigh' },
  ]);
});

test('an answer that is none is refused', async () => {
  const path = temporaryFolder();
  const study = await open(resolveSmall(), path, fakePython(path, [{ trials: [] }, { number: 'one' }]));
  await expect(study.ask()).rejects.toThrow(/number/);
  await study.close();
});

test('a Python without Optuna is told how to get it', async () => {
  const path = temporaryFolder();
  const python = join(path, 'python');
  writeFileSync(python, '#!/bin/sh\necho "ModuleNotFoundError: No module named \'optuna\'" >&2\nexit 1\n');
  chmodSync(python, 0o755);
  await expect(open(resolveSmall(), path, python)).rejects.toMatchObject({
    code: 'worker_exited',
    message: "the search (Optuna) ended (exit status 1): ModuleNotFoundError: No module named 'optuna'",
    hint: expect.stringContaining('setup --with sweep'),
  });
});

test('a Python that is not there is told', async () => {
  const path = temporaryFolder();
  await expect(open(resolveSmall(), path, '/no/python')).rejects.toMatchObject({
    code: 'worker_exited',
    message: expect.stringContaining('could not be started'),
  });
});
