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
