import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { ammdVersion } from '../run/session.js';
import { checkCommand } from './check.js';
import { doctorCommand } from './doctor.js';
import { evalCommand } from './eval.js';
import { EXIT, exitCodeOf } from './exit_codes.js';
import { generateCommand } from './generate.js';
import { describeError, errorAsJson } from './print_error.js';
import { reportCommand } from './report.js';
import { resumeCommand } from './resume.js';
import { startCommand } from './start.js';
import { trainCommand } from './train.js';

const EPILOGUE = `Exit status: ${EXIT.ok} done, ${EXIT.defect} defect of the program, ${EXIT.usage} wrong command, config or run folder,
${EXIT.worker} worker failed (the run can be resumed), ${EXIT.input} unreadable model, data or checkpoint,
${EXIT.check} a check failed, ${EXIT.interrupted} stopped by a signal.`;

/** Parses the command line, runs one command, and says with the exit status how it went. */
async function main(argv: readonly string[]): Promise<number> {
  let status: number = EXIT.ok;
  const parser = yargs(argv)
    .scriptName('ammd')
    .usage('$0 COMMAND\n\nAdversarial moment-matching distillation of language models.')
    .command(startCommand)
    .command(trainCommand)
    .command(resumeCommand)
    .command(evalCommand)
    .command(generateCommand)
    .command(checkCommand)
    .command(reportCommand)
    .command(doctorCommand)
    .demandCommand(1, 'Name a command.')
    .recommendCommands()
    .strict()
    .version(ammdVersion())
    .alias({ help: 'h', version: 'v' })
    .epilogue(EPILOGUE)
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .exitProcess(false)
    .fail((message, error, self) => {
      if (error) throw error;
      console.error(`${self.help() instanceof Promise ? '' : ''}ammd: ${message}\n  see: ammd --help`);
      status = EXIT.usage;
      throw new UsageShown();
    });
  try {
    await parser.parseAsync();
  } catch (error) {
    if (error instanceof UsageShown) return status;
    console.error(argv.includes('--json') ? errorAsJson(error) : describeError(error));
    return exitCodeOf(error);
  }
  return status;
}

/** The message is already on the screen. */
class UsageShown extends Error {}

process.exitCode = await main(hideBin(process.argv));
