import type { CommandModule } from 'yargs';
import { configToYaml, type ResolvedConfig } from '../config/resolve.js';
import { planRun } from '../plan/run.js';
import { requirePackages } from '../run/packages.js';
import { preflight, type StagePreflight } from '../run/preflight.js';
import { RunFolder } from '../run/run_folder.js';
import { CONFIG, type ConfigArguments, configOptions, resolveArguments } from './config_options.js';
import { CliError } from './errors.js';
import { withScratchWorker } from './scratch_worker.js';

interface CheckArguments extends ConfigArguments {
  readonly config: string;
  readonly 'dry-run': boolean;
  readonly json: boolean;
}

const runPreflight = (resolved: ResolvedConfig): Promise<readonly StagePreflight[]> =>
  withScratchWorker(resolved.config.worker, async ({ client, identity }, scratch) => {
    requirePackages(resolved.config, identity.packages);
    return preflight(client, resolved.config, planRun(resolved), new RunFolder(scratch));
  });

/** YAML that `ammd train` takes, with what else there is to say as comments. */
function printConfig({ config, hash, warnings }: ResolvedConfig): void {
  console.log(configToYaml(config));
  console.log(`# configuration ${hash}`);
  for (const warning of warnings) console.log(`# warning: ${warning}`);
}

function printPreflight(outcomes: readonly StagePreflight[]): void {
  for (const { stage, checks, skipped } of outcomes) {
    if (skipped !== null) console.log(`stage ${stage}: not tried: ${skipped}`);
    for (const check of checks) {
      const figure = check.value === undefined ? '' : ` ${check.value.toPrecision(3)}`;
      const limit = check.limit === undefined ? '' : ` (at most ${check.limit})`;
      console.log(
        `stage ${stage}: ${check.ok ? 'ok  ' : 'FAIL'} ${check.name}${figure}${limit}: ${check.detail}`,
      );
    }
  }
}

async function check({ config, 'dry-run': dryRun, json, ...options }: CheckArguments): Promise<void> {
  const resolved = resolveArguments(config, options);
  if (!json) printConfig(resolved);
  const outcomes = dryRun ? [] : await runPreflight(resolved);
  if (json) {
    const { config: full, hash, warnings } = resolved;
    console.log(JSON.stringify({ config: full, hash, warnings, preflight: outcomes }));
  } else printPreflight(outcomes);
  const failed = outcomes.flatMap(({ stage, checks }) =>
    checks.filter(({ ok }) => !ok).map(({ name }) => `${name} (stage ${stage})`),
  );
  if (failed.length > 0)
    throw new CliError('check_failed', `the preflight found a problem: ${failed.join(', ')}`, {
      hint: 'a model or its tokenizer does not behave as its class says; see the figures above',
    });
}

export const checkCommand: CommandModule<object, CheckArguments> = {
  command: 'check <config>',
  describe: 'Validate a configuration, print it fully resolved, and try its models and data (preflight)',
  builder: (yargs) =>
    configOptions(yargs)
      .positional('config', CONFIG)
      .option('dry-run', {
        type: 'boolean',
        default: false,
        describe: 'Validate and print only; starts no worker',
      })
      .option('json', { type: 'boolean', default: false, describe: 'One JSON object on stdout' })
      .example(
        '$0 check configs/runs/quickstart.yaml --dry-run',
        'is the file right, and what does it mean in full',
      ),
  handler: check,
};
