import { expect, jest } from '@jest/globals';
import { runProgram } from '../../../ts/cli/program.js';

export interface Captured {
  readonly status: number;
  /** Everything for standard output, however it was written. */
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command in this process and keeps what it prints. */
export const runCaptured = (...argv: readonly string[]): Promise<Captured> => captureProgram(argv, () => {});

/** @param hear told of each piece of standard output when it is written. */
export async function captureProgram(
  argv: readonly string[],
  hear: (text: string) => void,
): Promise<Captured> {
  let stdout = '';
  let stderr = '';
  const print = (text: string) => {
    stdout += text;
    hear(text);
  };
  const spies = [
    jest.spyOn(console, 'log').mockImplementation((...texts: unknown[]) => print(`${texts.join(' ')}\n`)),
    jest.spyOn(console, 'error').mockImplementation((...texts: unknown[]) => {
      stderr += `${texts.join(' ')}\n`;
    }),
    jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      print(String(text));
      return true;
    }),
  ];
  try {
    const status = await runProgram(argv);
    return { status, stdout, stderr };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** Lines of standard output of a command that must succeed, and print nothing else. */
export async function linesOf(...argv: readonly string[]): Promise<readonly string[]> {
  const { status, stdout, stderr } = await runCaptured(...argv);
  expect(`${status} ${stderr}`).toBe('0 ');
  return stdout.trimEnd().split('\n');
}

export async function jsonLinesOf(
  ...argv: readonly string[]
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const lines = await linesOf(...argv, '--json');
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}
