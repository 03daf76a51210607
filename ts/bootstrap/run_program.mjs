import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { SetupError } from './setup_error.mjs';

const TAIL_LINES = 25;
const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);

/**
 * Runs one program of the set-up. Its output goes to the terminal, if there is one, as it comes; otherwise into
 * the log, and is shown only when the program fails. Standard output stays free for the command's own.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {object} options
 * @param {string} options.cwd
 * @param {string} options.log
 * @param {string} options.what what the program does, for the error message
 * @param {string} options.remedy
 * @param {NodeJS.ProcessEnv} [options.env]
 * @returns {Promise<void>}
 * @throws {SetupError} when it cannot be started or fails
 */
export function runProgram(program, args, { cwd, log, what, remedy, env = process.env }) {
  const live = process.stderr.isTTY === true;
  mkdirSync(dirname(log), { recursive: true });
  appendFileSync(log, `\n$ ${program} ${args.join(' ')}\n`);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', live ? 2 : 'pipe', live ? 2 : 'pipe'] });
    let tail = '';
    /** @param {Buffer} chunk */
    const keep = (chunk) => {
      appendFileSync(log, chunk);
      tail = (tail + chunk.toString()).slice(-20_000);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    // A program that outlived this process would still write while the next set-up runs.
    const stop = (/** @type {NodeJS.Signals} */ signal) => child.kill(signal);
    for (const signal of SIGNALS) process.on(signal, stop);
    child.on('error', (error) => reject(new SetupError(`${what} failed: ${error.message}.`, remedy)));
    child.on('close', (code, signal) => {
      for (const name of SIGNALS) process.off(name, stop);
      if (code === 0) return resolve();
      const lines = tail.trimEnd().split('\n').slice(-TAIL_LINES);
      const shown = live ? '' : `\n${lines.join('\n')}\n(everything it said is in ${log})`;
      reject(new SetupError(`${what} failed (${signal ?? `exit code ${code}`}).${shown}`, remedy));
    });
  });
}
