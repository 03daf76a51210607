import { SetupError } from './setup_error.mjs';

/**
 * @typedef {object} Command
 * @property {'setup' | 'test' | 'python' | 'cli'} kind
 * @property {readonly string[]} args arguments that the command itself gets
 * @property {readonly string[]} groups Python packages wanted beyond those the worker needs
 */

/**
 * Reads the arguments of the bootstrap.
 *
 * @param {readonly string[]} args
 * @returns {Command}
 * @throws {SetupError} on arguments that `setup` does not know
 */
export function parseCommand(args) {
  const [name, ...rest] = args;
  if (name === 'test') return { kind: 'test', args: rest, groups: ['dev'] };
  if (name === 'python') return { kind: 'python', args: rest, groups: ['dev'] };
  if (name === 'setup') return { kind: 'setup', args: [], groups: setupGroups(rest) };
  return { kind: 'cli', args, groups: [] };
}

/** @param {readonly string[]} args */
function setupGroups(args) {
  if (args.length === 0) return [];
  const [flag, names] = args[0]?.startsWith('--with=') ? ['--with', args[0].slice('--with='.length)] : args;
  if (flag !== '--with' || !names) {
    throw new SetupError(`setup does not know "${args.join(' ')}".`, 'Usage: ammd setup [--with NAME,NAME]');
  }
  return names.split(',');
}
