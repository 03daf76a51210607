import { execFile } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { temporaryFolder } from './bootstrap/temporary_folder.js';

const ROOT = process.cwd();

/** `FILE: RULE` for each rule of the import table that one of the sources breaks. */
async function broken(sources: Readonly<Record<string, string>>): Promise<string[]> {
  const folder = temporaryFolder(sources);
  cpSync(join(ROOT, '.dependency-cruiser.cjs'), join(folder, '.dependency-cruiser.cjs'));
  const program = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const args = ['--config', '.dependency-cruiser.cjs', '--output-type', 'json', 'ts'];
  const output = await promisify(execFile)(process.execPath, [program, ...args], { cwd: folder });
  const { summary } = JSON.parse(output.stdout) as {
    summary: { violations: readonly { from: string; rule: { name: string } }[] };
  };
  return summary.violations.map(({ from, rule }) => `${from}: ${rule.name}`).sort();
}

const stub = (name: string) => ({
  [`node_modules/${name}/package.json`]: `{"name": "${name}", "main": "index.js"}`,
  [`node_modules/${name}/index.js`]: 'module.exports = {};',
});

const TARGETS = {
  'package.json': '{"dependencies": {"zeromq": "6", "execa": "9"}, "devDependencies": {"jest": "30"}}',
  ...stub('zeromq'),
  ...stub('execa'),
  ...stub('jest'),
  'ts/common/x.ts': 'export const x = 1;',
  'ts/config/x.ts': 'export const x = 1;',
  'ts/plan/x.ts': 'export type X = number;',
  'ts/wire/x.ts': 'export const x = 1;',
  'ts/run/x.ts': 'export const x = 1;',
  'ts/run/errors.ts': 'export const e = 1;',
  'ts/run/saved/x.ts': 'export const y = 1;',
  'ts/run/stage/x.ts': 'export const z = 1;',
};

test('what the table allows is accepted', async () => {
  const sources = {
    'ts/plan/a.ts':
      "export { x } from '../config/x.js';\nexport * from '../common/x.js';\nexport * from './x.js';",
    'ts/cli/a.ts': "export * from '../wire/x.js';\nexport * from '../run/x.js';",
    'ts/wire/a.ts': "import 'zeromq';\nimport 'node:fs';",
    'ts/worker/a.ts': "import 'execa';\nexport * from '../wire/x.js';",
    'ts/bootstrap/a.mjs': "import 'node:fs';",
    'ts/run/stage/a.ts':
      "export * from '../saved/x.js';\nexport * from '../errors.js';\nexport * from './x.js';",
  };
  expect(await broken({ ...TARGETS, ...sources })).toEqual([]);
});

test('each rule is held', async () => {
  const sources = {
    'ts/config/a.ts': "export * from '../plan/x.js';",
    'ts/wire/type_only.ts': "import type { X } from '../plan/x.js';\nexport type Y = X;",
    'ts/report/in_function.ts': "export const load = () => import('../run/x.js');",
    'ts/plan/circle.ts': "export * from './circle.js';",
    'ts/plan/nowhere.ts': "export * from './nothing.js';",
    'ts/bootstrap/a.mjs': "import '../common/x.js';",
    'ts/run/saved/up.ts': "export * from '../stage/x.js';",
    'ts/run/stage/entrance.ts': "export * from '../x.js';",
    'ts/run/a.ts': "import 'zeromq';\nimport 'execa';\nimport 'jest';",
  };
  expect(await broken({ ...TARGETS, ...sources })).toEqual([
    'ts/bootstrap/a.mjs: bootstrap-needs-no-modules',
    'ts/config/a.ts: config-imports',
    'ts/plan/circle.ts: no-cycles',
    'ts/plan/nowhere.ts: resolvable',
    'ts/report/in_function.ts: report-imports',
    'ts/run/a.ts: no-development-packages',
    'ts/run/a.ts: only-wire-imports-zeromq-msgpackr',
    'ts/run/a.ts: only-worker-imports-execa',
    'ts/run/saved/up.ts: run-saved-imports',
    'ts/run/stage/entrance.ts: run-stage-imports',
    'ts/wire/type_only.ts: wire-imports',
  ]);
});
