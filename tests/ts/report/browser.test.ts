import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { comparisonReport } from '../../../ts/report/comparison/report.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';
import { makeSample, makeStep } from '../metrics/make_rows.js';
import { makeRun, makeStage } from './make_run.js';
import { count, NASTY } from './page_checks.js';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const folders = (process.env.PATH ?? '').split(delimiter);
const browser = NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);

/** The page as a browser has it once it has read it. */
async function documentOf(program: string, html: string): Promise<string> {
  const folder = temporaryFolder();
  const file = join(folder, 'page.html');
  writeFileSync(file, html);
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    `--user-data-dir=${join(folder, 'profile')}`,
  ];
  const { stdout } = await promisify(execFile)(program, [...flags, '--dump-dom', `file://${file}`], {
    maxBuffer: 1 << 26,
  });
  return stdout;
}

// Structure and escaping are tested without a browser too; this asks one whether it reads the page in the same way.
(browser === undefined ? describe.skip : describe)('a browser', () => {
  test('reads the page as it was meant', async () => {
    const stage = makeStage({
      steps: [1, 2].map((step) => makeStep({ step, metrics: { loss: step, [NASTY]: step } })),
      samples: [makeSample({ text: NASTY, prompt: NASTY, references: [NASTY] })],
    });
    const report = comparisonReport(
      [1, 2].map((lr) => makeRun({ name: `${NASTY}${lr}`, settings: { lr }, stages: [stage] })),
    );
    const read = await documentOf(browser ?? '', report.html);
    for (const part of ['<section', '<svg', '<figure', '<table', '<dd class="text"', '<span class="swatch'])
      expect([part, count(read, part)]).toEqual([part, count(report.html, part)]);
    for (const part of ['<script', '<img', '<iframe']) expect(read).not.toContain(part);
    expect(read).toMatch(/<\/section>\s*<\/body>/);
  });
});
