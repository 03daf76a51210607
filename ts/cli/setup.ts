import type { CommandModule } from 'yargs';
import { CliError } from './errors.js';
import { TEXT } from './options.js';

interface SetupArguments {
  readonly with: string | undefined;
}

/** Help only. Setting up needs no module that it installs, so the bootstrap does it and hands on nothing but `--help`. */
export const setupCommand: CommandModule<object, SetupArguments> = {
  command: 'setup',
  describe: 'Set up the Python environment only, perhaps with optional packages',
  builder: (yargs) =>
    yargs
      .option('with', {
        ...TEXT,
        describe:
          'Optional packages, comma between: sweep, peft, wandb, smollm2, trl, triton, dev; may be repeated',
      })
      .example('$0 setup --with peft,wandb', 'adapters, and rows on Weights & Biases'),
  handler: () => {
    throw new CliError('usage', 'only the program itself can set up', { hint: 'run: npx ammd setup' });
  },
};
