import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from './run_program.mjs';
import { hashFiles, readJson, writeJson } from './stamp.mjs';

const SOURCES = ['ts', 'protocol', 'tsconfig.json', 'package-lock.json'];

/**
 * The controller's JavaScript in `dist`, compiled anew when a source changed. It is compiled beside the old one and
 * then renamed, so that a deleted source leaves nothing behind and an interrupted build is not taken for a whole one.
 *
 * @param {import('./places.mjs').Places} places
 * @returns {import('./set_up.mjs').Step}
 */
export function build({ root, prebuilt, state }) {
  const dist = join(root, 'dist');
  const stamp = (folder = dist) => join(folder, '.stamp.json');
  const wanted = () => hashFiles(root, SOURCES, (name) => /\.(ts|mjs|json)$/.test(name));
  return {
    name: 'build',
    ready: () => prebuilt || readJson(stamp()) === wanted(),
    run: async () => {
      const hash = wanted();
      const [fresh, old] = [`${dist}.new`, `${dist}.old`];
      rmSync(fresh, { recursive: true, force: true });
      await runProgram(
        process.execPath,
        [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.json', '--outDir', fresh],
        {
          cwd: root,
          log: join(state, 'setup.log'),
          what: 'Building (tsc)',
          remedy: 'Correct the places named above, and run the command again.',
        },
      );
      writeJson(stamp(fresh), hash);
      rmSync(old, { recursive: true, force: true });
      renameIfThere(dist, old);
      renameSync(fresh, dist);
      rmSync(old, { recursive: true, force: true });
    },
  };
}

/** @param {string} from @param {string} to */
function renameIfThere(from, to) {
  try {
    renameSync(from, to);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ENOENT') throw error;
  }
}
