import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../../ts/config/files.js';
import { resolveConfig } from '../../../ts/config/resolve.js';
import { resolveProfile } from '../../../ts/reproduce/profile.js';
import { resolveSweep } from '../../../ts/sweep/resolve.js';
import { workspace } from './workspace.js';

const README = readFileSync(join(packageRoot(), 'configs', 'README.md'), 'utf8');

/** A folder with the first example below a heading, as `example.yaml`, and the data that examples name. */
function exampleBelow(heading: string): string {
  const [, text] = new RegExp(`^## ${heading}$[^]*?^\`\`\`yaml\n([^]*?)^\`\`\``, 'm').exec(README) ?? [];
  if (text === undefined) throw new Error(`configs/README.md has no example below "${heading}"`);
  return workspace({ 'example.yaml': text, 'data/train.jsonl': '{"instruction": "x", "output": "y"}\n' });
}

test('the example of a run resolves', () => {
  const { config, warnings } = resolveConfig('example.yaml', [], exampleBelow('A run'));
  expect(Object.keys(config.stages)).toEqual(['teacher', 'start', 'ammd']);
  expect(warnings).toEqual([]);
});

test('the example of a sweep resolves', () => {
  const { warnings } = resolveSweep(join(exampleBelow('A sweep'), 'example.yaml'));
  expect(warnings).toEqual([]);
});

test('the example of a profile resolves, with a table of its own name', () => {
  const { config } = resolveProfile(join(exampleBelow('A profile'), 'example.yaml'));
  expect(Object.keys(config.tables.short?.rows ?? {})).toEqual(['teacher', 'jsd', 'opd', 'mine']);
});

test.each(['README.md', 'configs/methods/README.md'])('%s names every method that is shipped', (page) => {
  const text = readFileSync(join(packageRoot(), page), 'utf8');
  const methods = readdirSync(join(packageRoot(), 'configs', 'methods'))
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => file.slice(0, -'.yaml'.length));
  expect(methods.filter((name) => !text.includes(`\`${name}\``) && !text.includes(`(${name}.yaml)`))).toEqual(
    [],
  );
});
