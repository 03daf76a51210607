import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';

/** What a package may have, beside what is compiled. A file that nothing here describes is stray. */
const ALLOWED = [
  /^(LICENSE|README\.md|package\.json)$/,
  /^(ARCHITECTURE|CHANGELOG|CONTRIBUTING|LOG|SECURITY)\.md$/, // what the README points to
  /^configs\/(README|REFERENCE)\.md$/,
  /^configs\/(runs|methods|models|data|sweeps|reproduce(\/reference)?)\/[\w-]+\.(yaml|md)$/,
  /^protocol\/(protocol\.json|README\.md|REFERENCE\.md)$/,
  /^py_worker\/([a-z]\w*\/)*\w+\.py$/,
  /^py_worker\/requirements\/[\w-]+\.(in|lock)$/,
  /^ts\/bootstrap\.mjs$/,
  /^ts\/bootstrap\/\w+\.mjs$/,
  /^ts\/examples\/\w+\.mjs$/,
];

/** Tools of those who work on ammd. */
const DEVELOPMENT = [
  'py_worker/requirements/lock.py',
  'ts/bootstrap/complete_lock.mjs',
  'ts/bootstrap/test_runner.mjs',
  'dist/ts/config/reference.js',
];

/** The source of a compiled file; undefined for what is not a module or its types. */
function sourceOf(file: string): string | undefined {
  const [, name] = /^dist\/(ts\/[\w/]+(?:\.gen)?)(?:\.d\.ts|\.js|\.d\.mts|\.mjs)$/.exec(file) ?? [];
  return ['.ts', '.mjs'].map((ending) => `${name}${ending}`).find((source) => existsSync(source));
}

function filesIn(folder: string, wanted: RegExp): readonly string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => wanted.test(name)).map((name) => `${folder}/${name}`);
}

function packed(): readonly string[] {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error'];
  const [entry] = JSON.parse(execFileSync('npm', args, { encoding: 'utf8' })) as {
    files: readonly { path: string }[];
  }[];
  return (entry?.files ?? []).map(({ path }) => path);
}

describe('the npm package', () => {
  const files = packed();

  test('has no file that its list does not describe', () => {
    const stray = files.filter(
      (file) => !(ALLOWED.some((pattern) => pattern.test(file)) || sourceOf(file) !== undefined),
    );
    expect(stray).toEqual([]);
    expect(files.filter((file) => DEVELOPMENT.includes(file))).toEqual([]);
  });

  test('has all of the worker, every configuration, and whatever its package.json names', () => {
    const sources = [...filesIn('py_worker', /\.(py|in|lock)$/), ...filesIn('configs', /\.(yaml|md)$/)];
    expect(sources.length).toBeGreaterThan(100);
    expect(sources.filter((file) => !(files.includes(file) || DEVELOPMENT.includes(file)))).toEqual([]);

    const { bin, exports } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      bin: Readonly<Record<string, string>>;
      exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
    };
    const entries = [...Object.values(bin), ...Object.values(exports)].flatMap((entry) =>
      typeof entry === 'string' ? [entry] : Object.values(entry),
    );
    expect(entries.length).toBeGreaterThan(2);
    for (const entry of entries) expect(files).toContain(entry.replace(/^\.\//, ''));
  });

  test('has each file that its README points to', () => {
    const links = [...readFileSync('README.md', 'utf8').matchAll(/\]\(([^)#:]+)[^)]*\)/g)].map(
      ([, to = '']) => to,
    );
    expect(links).toContain('CONTRIBUTING.md');
    const missing = links.filter((to) => !files.some((file) => file === to || file.startsWith(`${to}/`)));
    expect(missing).toEqual([]);
  });

  test('has a compiled module with types for each source', () => {
    const compiled = files.flatMap((file) => (file.endsWith('.js') ? [sourceOf(file)] : []));
    const sources = filesIn('ts', /(?<!\.d)\.ts$/).filter((file) => file !== 'ts/config/reference.ts');
    expect(new Set(compiled)).toEqual(new Set(sources));
    const untyped = files.filter(
      (file) => file.endsWith('.js') && !files.includes(file.replace(/\.js$/, '.d.ts')),
    );
    expect(untyped).toEqual([]);
  });
});
