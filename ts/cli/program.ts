import yargs from 'yargs';
import { ammdVersion } from '../run/workers/session.js';
import { checkCommand } from './check.js';
import { doctorCommand } from './doctor.js';
import { CliError } from './errors.js';
import { evalCommand } from './eval.js';
import { EXIT, type ExitCode, exitCodeOf } from './exit_codes.js';
import { exportCommand } from './export.js';
import { generateCommand } from './generate.js';
import { importCommand } from './import.js';
import { describeError, errorAsJson } from './print_error.js';
import { quickstartCommand } from './quickstart.js';
import { reportCommand } from './report.js';
import { reproduceCommand } from './reproduce.js';
import { resumeCommand } from './resume.js';
import { setupCommand } from './setup.js';
import { sweepCommand } from './sweep.js';
import { trainCommand } from './train.js';

const EPILOGUE = `Exit status: ${EXIT.ok} done, ${EXIT.defect} defect of the program, ${EXIT.usage} wrong command, config or run folder,
${EXIT.worker} worker failed (a run can be resumed), ${EXIT.input} unreadable model, data or checkpoint,
${EXIT.check} a check failed or something is not installed, ${EXIT.time} stopped when --max-hours were over,
${EXIT.interrupted} stopped by a signal (a run can be resumed after either).`;

const REPEATABLE: ReadonlySet<string> = new Set([
  '_',
  'folder',
  'set',
  'data',
  'fields',
  'metric',
  'seeds',
  'prompt',
]);

/** yargs makes a list of an option that is given twice, whatever its type. */
function refuseRepeated(options: Readonly<Record<string, unknown>>): true {
  const repeated = Object.keys(options).find((key) => Array.isArray(options[key]) && !REPEATABLE.has(key));
  if (repeated !== undefined) throw new CliError('usage', `--${repeated} is given more than once`);
  return true;
}

/** yargs takes `--out=` for a value, and `--seed=` for 0: what was typed must be looked at before it is parsed. */
function refuseEmpty(argv: readonly string[]): void {
  for (const [at, word] of argv.entries()) {
    const [empty, option] = /^(?:(--[^=]+)=)?\s*$/.exec(word) ?? [];
    if (empty === undefined) continue;
    throw new CliError('usage', `${option ?? `the argument after ${argv[at - 1] ?? 'ammd'}`} is empty`);
  }
}

/** Otherwise `--no-repeat-ngram-size 6` is the option repeat-ngram-size, switched off. */
const PARSER = { 'boolean-negation': false };

function parserOf(argv: readonly string[]) {
  return yargs([...argv])
    .scriptName('ammd')
    .parserConfiguration(PARSER)
    .usage('$0 COMMAND\n\nAdversarial moment-matching distillation of language models.')
    .command(quickstartCommand)
    .command(trainCommand)
    .command(resumeCommand)
    .command(evalCommand)
    .command(generateCommand)
    .command(exportCommand)
    .command(importCommand)
    .command(checkCommand)
    .command(sweepCommand)
    .command(reproduceCommand)
    .command(reportCommand)
    .command(doctorCommand)
    .command(setupCommand)
    .demandCommand(1, 'Name a command.')
    .recommendCommands()
    .strict()
    .check(refuseRepeated)
    .version(ammdVersion())
    .alias({ help: 'h', version: 'v' })
    .epilogue(EPILOGUE)
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .exitProcess(false)
    .updateStrings({ 'Not enough arguments following: %s': '--%s needs a value' })
    .fail((message: string | null, error: unknown) => {
      // What a command throws comes without a message of yargs.
      if (message === null || error instanceof CliError) throw error;
      throw new CliError('usage', message, { hint: 'see: ammd --help, or ammd COMMAND --help' });
    });
}

/**
 * Parses the command line, runs one command, and tells an error on standard error.
 *
 * @returns the exit status.
 */
export async function runProgram(argv: readonly string[]): Promise<ExitCode> {
  try {
    refuseEmpty(argv);
    await parserOf(argv).parseAsync();
    return EXIT.ok;
  } catch (error) {
    console.error(argv.includes('--json') ? errorAsJson(error) : describeError(error));
    return exitCodeOf(error);
  }
}
