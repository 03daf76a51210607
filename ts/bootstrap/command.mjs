import { SetupError } from './setup_error.mjs';

/**
 * @typedef {object} Command
 * @property {'setup' | 'build' | 'test' | 'python' | 'cli'} kind
 * @property {readonly string[]} args arguments that the command itself gets
 * @property {readonly string[]} groups Python packages wanted beyond those the worker needs
 * @property {boolean} usesPython whether the Python environment is set up first
 */

// Commands that may start a worker, and options that keep any command from it. For others, a misspelt one among them,
// gigabytes are not fetched.
const WORKER_COMMANDS = [
  ...['quickstart', 'start', 'train', 'resume', 'eval', 'generate', 'export', 'import', 'check'],
  ...['sweep', 'reproduce'],
];
const HELP_OPTIONS = ['--help', '-h'];
const PLAIN_OPTIONS = [...HELP_OPTIONS, '--version', '-v', '--dry-run'];

/** What tests, types and style need: of the optional groups those that are tested in earnest. */
const DEVELOPMENT = ['dev', 'sweep'];

/**
 * Reads the arguments of the bootstrap.
 *
 * @param {readonly string[]} args
 * @param {boolean} prebuilt whether this is an installed package, which has neither tests nor sources to build
 * @returns {Command}
 * @throws {SetupError} on arguments that `setup` does not know
 */
export function parseCommand(args, prebuilt) {
  const [name, ...rest] = args;
  const groups = prebuilt ? [] : DEVELOPMENT;
  const asksHelp = rest.some((word) => HELP_OPTIONS.includes(word));
  if (name === 'setup' && !asksHelp)
    return { kind: 'setup', args: [], groups: setupGroups(rest), usesPython: true };
  if (name === 'python') return { kind: 'python', args: rest, groups, usesPython: true };
  if (name === 'test' && !prebuilt) return { kind: 'test', args: rest, groups, usesPython: true };
  if (name === 'build' && !prebuilt) return { kind: 'build', args: [], groups: [], usesPython: false };
  return { kind: 'cli', args, groups: name === 'sweep' ? ['sweep'] : [], usesPython: usesPython(args) };
}

/** @param {readonly string[]} args */
function usesPython(args) {
  const name = args.find((word) => !word.startsWith('-')) ?? '';
  return WORKER_COMMANDS.includes(name) && !args.some((word) => PLAIN_OPTIONS.includes(word));
}

/** @param {readonly string[]} args */
function setupGroups(args) {
  const groups = [];
  for (let rest = args; rest.length > 0; ) {
    const [flag = '', ...others] = rest;
    const attached = flag.startsWith('--with=');
    const names = attached ? flag.slice('--with='.length) : others[0];
    if (!(attached || flag === '--with') || !names) {
      throw new SetupError(
        `setup does not know "${args.join(' ')}".`,
        'Usage: ammd setup [--with NAME,NAME]',
      );
    }
    groups.push(...names.split(','));
    rest = attached ? others : others.slice(1);
  }
  return groups;
}
