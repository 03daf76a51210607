import { expect, test } from '@jest/globals';
import { runCaptured } from './captured.js';

/** What each command needs beside options, so that an option alone can be wrong. */
const COMMANDS: readonly (readonly string[])[] = [
  ['quickstart'],
  ['train', 'none'],
  ['resume', 'none'],
  ['eval', 'none', '--data', 'none'],
  ['generate', 'none'],
  ['export', 'none', '--out', 'none'],
  ['import', 'none'],
  ['check', 'none'],
  ['sweep', 'none'],
  ['reproduce', 'instruct', '--profile', 'none'],
  ['report', 'none'],
  ['doctor'],
  ['setup'],
];

/** `--seeds` alone is a list too: of no seeds, so that a set is decoded greedily alone. */
const MAY_BE_EMPTY = ['eval --seeds'];

/** Options that take a value, as the help of a command has them. */
async function optionsWithValue(command: string): Promise<readonly string[]> {
  const { stdout } = await runCaptured(command, '--help');
  const described = (stdout.split('Options:')[1] ?? '').split('Examples:')[0]?.split(/^ +(?:-\w, )?(?=--)/m);
  return (described ?? []).flatMap((text) =>
    text.includes('[boolean]') ? [] : (/^--[\w-]+/.exec(text)?.slice() ?? []),
  );
}

test('every command is here', async () => {
  const { stdout } = await runCaptured('--help');
  const named = [...stdout.matchAll(/^ +ammd ([a-z]+) /gm)].map(([, name]) => name);
  expect([...new Set(named)].sort()).toEqual(COMMANDS.map(([name]) => name).sort());
});

test.each(COMMANDS)('no option of %s is taken without its value', async (name = '', ...rest) => {
  const options = await optionsWithValue(name);
  expect(options.length > 0).toBe(name !== 'doctor');
  for (const option of options.filter((one) => !MAY_BE_EMPTY.includes(`${name} ${one}`))) {
    const { status, stderr } = await runCaptured(name, ...rest.filter((one) => one !== option), option);
    expect(`${status} ${stderr}`).toBe(
      `2 ammd: ${option} needs a value\n  see: ammd --help, or ammd COMMAND --help\n`,
    );
  }
});

test.each<[string, readonly string[]]>([
  ['a number', ['sweep', 'quickstart-ammd', '--trials', '--dry-run']],
  ['a text', ['train', 'quickstart', '--out']],
  ['a repeatable text', ['check', 'quickstart', '--dry-run', '--set']],
  ['a choice', ['generate', 'none', '--dtype', '--json']],
])('%s', async (_, argv) => {
  const { status, stdout, stderr } = await runCaptured(...argv);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toMatch(/--(trials|out|set|dtype) needs a value/);
});

test.each<[string, readonly string[]]>([
  ['--out is empty', ['train', 'quickstart', '--out=']],
  ['--seed is empty', ['generate', 'none', '--prompt', 'p', '--seed=']],
  ['--seeds is empty', ['eval', 'none', '--data', 'd', '--seeds= ']],
  ['--max-hours is empty', ['train', 'quickstart', '--max-hours=']],
  ['the argument after --temperature is empty', ['generate', 'none', '--prompt', 'p', '--temperature', '']],
  ['the argument after 10 is empty', ['eval', 'none', '--data', 'd', '--seeds', '10', ' ']],
  ['the argument after train is empty', ['train', '']],
])('nothing is no value: %s', async (message, argv) => {
  const { status, stderr } = await runCaptured(...argv);
  expect(`${status} ${stderr}`).toBe(`2 ammd: ${message}\n`);
});
