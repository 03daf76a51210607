import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ROOT } from './tiny_run.js';

/** Packages that `npm install ammd` brings, by the lock file. */
function productionPackages(): readonly string[] {
  const { packages } = JSON.parse(readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, { readonly dev?: boolean }>>;
  };
  return Object.entries(packages)
    .filter(([place, { dev }]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(place) && dev !== true)
    .map(([place]) => place.slice('node_modules/'.length))
    .filter((name) => existsSync(path.join(ROOT, 'node_modules', name))); // the rest is for other platforms
}

function link(target: string, place: string): void {
  mkdirSync(path.dirname(place), { recursive: true });
  symlinkSync(target, place);
}

/**
 * A new folder with the packed package in its node_modules, as `npm install` would leave it: dependencies without those
 * for development, and a link to the program. Made without a network, from what is installed here.
 *
 * @returns the folder; its name has a space in it.
 */
export function installPackage(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'ammd package-'));
  const modules = path.join(folder, 'node_modules');
  const home = path.join(modules, 'ammd');
  mkdirSync(home, { recursive: true });
  execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', modules], { cwd: ROOT });
  const archive = readdirSync(modules).find((name) => name.endsWith('.tgz')) ?? '';
  execFileSync('tar', ['-xzf', path.join(modules, archive), '--strip-components=1', '-C', home]);
  for (const name of productionPackages())
    link(path.join(ROOT, 'node_modules', name), path.join(modules, name));
  const program = path.join(home, 'ts/bootstrap.mjs');
  link(path.relative(path.join(modules, '.bin'), program), path.join(modules, '.bin/ammd'));
  chmodSync(program, 0o755);
  return folder;
}

/** Every file below a folder with its size and time, links not followed. */
export function snapshot(folder: string): ReadonlyMap<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return new Map(
    files.map((entry) => {
      const file = path.join(entry.parentPath, entry.name);
      const { size, mtimeMs } = statSync(file);
      return [file, `${size} ${mtimeMs}`];
    }),
  );
}

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program in `cwd` without any setting of ours but those given. */
export function runIn(
  cwd: string,
  [program, ...args]: readonly [string, ...string[]],
  settings: Readonly<Record<string, string>>,
): Finished {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(AMMD_|PYTHON|npm_)/.test(name));
  const env = { ...Object.fromEntries(inherited), npm_config_update_notifier: 'false', ...settings };
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, env, encoding: 'utf8' });
  return { status, stdout, stderr };
}
