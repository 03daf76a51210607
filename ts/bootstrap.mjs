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
import { runTests } from './bootstrap/test_runner.mjs';
import { checkNode } from './bootstrap/versions.mjs';

const ROOT = resolve(fileURLToPath(import.meta.url), '../..');

/** @param {readonly string[]} args */
async function main(args) {
  checkNode(process.versions.node);
  const command = parseCommand(args);
  const places = findPlaces(ROOT, process.env);
  const python = await setUp(places, process.env, command.groups);
  // The controller starts its worker with this interpreter.
  process.env.AMMD_WORKER_PYTHON = python;
  if (command.kind === 'setup') {
    process.stderr.write(`ammd: ready (Python environment: ${python})\n`);
  } else if (command.kind === 'test') {
    process.exitCode = await runTests(ROOT, python, command.args);
  } else if (command.kind === 'python') {
    process.exitCode = spawnSync(python, command.args, { stdio: 'inherit' }).status ?? 1;
  } else {
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
