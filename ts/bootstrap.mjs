#!/usr/bin/env node
// Sets up what is missing (node modules, Python environment, build), then runs the command.
// Plain Node without modules: it runs in a fresh clone, before anything is installed.

import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseCommand } from './bootstrap/command.mjs';
import { findPlaces } from './bootstrap/places.mjs';
import { setUp } from './bootstrap/set_up.mjs';
import { SetupError } from './bootstrap/setup_error.mjs';
import { checkNode } from './bootstrap/versions.mjs';

const ROOT = resolve(fileURLToPath(import.meta.url), '../..');

/** @param {readonly string[]} args */
async function main(args) {
  checkNode(process.versions.node);
  const places = findPlaces(ROOT, process.env);
  const command = parseCommand(args, places.prebuilt);
  const python = await setUp(places, process.env, command);
  // The controller starts its worker with this interpreter.
  if (python !== undefined) process.env.AMMD_WORKER_PYTHON = python;
  switch (command.kind) {
    case 'setup':
      process.stderr.write(`ammd: ready (Python environment: ${python})\n`);
      return;
    case 'build':
      return;
    case 'test': {
      // Not at the top: an installed package does not have it.
      const { runTests } = await import('./bootstrap/test_runner.mjs');
      process.exitCode = await runTests(ROOT, python ?? '', command.args);
      return;
    }
    case 'python':
      process.exitCode = spawnSync(python ?? '', command.args, { stdio: 'inherit' }).status ?? 1;
      return;
    case 'cli':
      // In this process, so that signals, exit code and process id are the command's own.
      process.argv = [process.execPath, places.main, ...command.args];
      await import(pathToFileURL(places.main).href);
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`${error.report()}\n`);
  process.exitCode = 5; // the status that the commands give to an environment that lacks something
}
