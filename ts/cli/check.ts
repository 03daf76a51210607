import type { CommandModule } from 'yargs';
import { configToYaml, type ResolvedConfig } from '../config/resolve.js';
import { planRun } from '../plan/run.js';
import { checkRun, type RunCheck } from '../run/check_run.js';
import { type StagePreflight, type TriedStage, wasTried } from '../run/checks/preflight.js';
import { CONFIG, type ConfigArguments, configOptions, resolveArguments } from './config_options.js';
import { CliError } from './errors.js';
import { memoryHint, memoryLines } from './memory_lines.js';
import { plotStage, type StageCurves, stageCurves } from './plot.js';

interface CheckArguments extends ConfigArguments {
  readonly config: string;
  readonly 'dry-run': boolean;
  readonly plot: boolean;
  readonly json: boolean;
}

const NOT_TRIED: RunCheck = { stages: [], problems: [] };

/** YAML that `ammd train` takes, with what else there is to say as comments; these alone where curves follow. */
function printHead({ config, hash, warnings }: ResolvedConfig, plot: boolean): void {
  if (!plot) console.log(configToYaml(config));
  console.log(`# configuration ${hash}`);
  for (const warning of warnings) console.log(`# warning: ${warning}`);
}

function printTried({ stage, checks, memory, notes }: TriedStage): void {
  for (const note of notes) console.log(`stage ${stage}: note: ${note}`);
  for (const line of memory === null ? [] : memoryLines(memory)) console.log(`stage ${stage}: ${line}`);
  for (const check of checks) {
    const figure = check.value === undefined ? '' : ` ${check.value.toPrecision(3)}`;
    const limit = check.limit === undefined ? '' : ` (at most ${check.limit})`;
    console.log(
      `stage ${stage}: ${check.ok ? 'ok  ' : 'FAIL'} ${check.name}${figure}${limit}: ${check.detail}`,
    );
  }
}

function printPreflight(outcomes: readonly StagePreflight[]): void {
  for (const outcome of outcomes) {
    if (wasTried(outcome)) printTried(outcome);
    else console.log(`stage ${outcome.stage}: not tried: ${outcome.skipped}`);
  }
}

/** Of every stage the same keys, tried or not. */
export const preflightJson = (outcomes: readonly StagePreflight[]) =>
  outcomes.map((outcome) =>
    wasTried(outcome)
      ? outcome
      : { stage: outcome.stage, checks: [], memory: null, steps: null, notes: [], skipped: outcome.skipped },
  );

/** Points of a curve in JSON, and columns of one that is drawn. */
const JSON_POINTS = 512;
const LARGEST_WIDTH = 100;
/** What the axis and its labels take beside the curve. */
const MARGIN = 14;

function curves(
  resolved: ResolvedConfig,
  outcomes: readonly StagePreflight[],
  points: number,
): readonly StageCurves[] {
  return planRun(resolved).stages.map((plan) => {
    const found = outcomes.filter(wasTried).find(({ stage }) => stage === plan.name)?.steps ?? null;
    return stageCurves(plan, plan.training.steps ?? found, points);
  });
}

function printPlots(resolved: ResolvedConfig, outcomes: readonly StagePreflight[]): void {
  const { columns = 80, isTTY } = process.stdout;
  const colour = isTTY === true && (process.env.NO_COLOR ?? '') === '';
  const width = Math.max(20, Math.min(LARGEST_WIDTH, columns - MARGIN));
  for (const stage of curves(resolved, outcomes, width)) console.log(`${plotStage(stage, colour)}\n`);
}

async function check(args: CheckArguments): Promise<void> {
  const { config, 'dry-run': dryRun, plot, json, ...options } = args;
  const resolved = resolveArguments(config, options);
  if (!json) printHead(resolved, plot);
  const { stages: outcomes, problems } = dryRun ? NOT_TRIED : await checkRun(resolved);
  if (json) {
    const { config: full, hash, warnings } = resolved;
    const schedules = plot ? { schedules: curves(resolved, outcomes, JSON_POINTS) } : {};
    console.log(
      JSON.stringify({ config: full, hash, warnings, preflight: preflightJson(outcomes), ...schedules }),
    );
  } else {
    printPreflight(outcomes);
    if (plot) printPlots(resolved, outcomes);
  }
  if (problems.length > 0)
    throw new CliError('check_failed', `the preflight found a problem: ${problems.join(', ')}`, {
      hint:
        memoryHint(outcomes) ??
        'a model or its tokenizer does not behave as its class says; see the figures above',
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
      .option('plot', {
        type: 'boolean',
        default: false,
        describe: 'Draw each schedule as a curve, in place of the configuration',
      })
      .option('json', { type: 'boolean', default: false, describe: 'One JSON object on stdout' })
      .example(
        '$0 check configs/runs/quickstart.yaml --dry-run',
        'is the file right, and what does it mean in full',
      )
      .example('$0 check quickstart --plot --dry-run', 'how do learning rate, weights and shares move'),
  handler: check,
};
