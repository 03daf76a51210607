import type { ResolvedConfig } from '../config/resolve.js';
import { planRun } from '../plan/run.js';
import { requirePackages } from './checks/packages.js';
import { preflight, type StagePreflight, wasTried } from './checks/preflight.js';
import { RunFolder } from './folder/run_folder.js';
import { withScratchWorker } from './workers/scratch_worker.js';
import type { SessionOptions } from './workers/session.js';

/** What came of trying a run. */
export interface RunCheck {
  readonly stages: readonly StagePreflight[];
  /** Names of the checks that failed, each with its stage; empty when all is well. */
  readonly problems: readonly string[];
}

/** Names of the checks that failed, and of the stages that do not fit into memory. */
export const problemsOf = (stages: readonly StagePreflight[]): readonly string[] =>
  stages
    .filter(wasTried)
    .flatMap(({ stage, checks, memory }) => [
      ...(memory === null || memory.fits ? [] : [`memory (stage ${stage})`]),
      ...checks.filter(({ ok }) => !ok).map(({ name }) => `${name} (stage ${stage})`),
    ]);

/**
 * Tries a configuration without training: loads the models and datasets of each stage in a worker of its own, predicts
 * the peak memory in bytes, and checks identities that must hold (a model has no divergence from itself, losses are
 * finite). Leaves nothing on the disk but the datasets' cache.
 *
 * @throws WireError when a model or dataset cannot be loaded, WorkerFailure when the worker fails, RunError
 * `package_missing` or `python_missing`.
 */
export async function checkRun(
  resolved: ResolvedConfig,
  options: Pick<SessionOptions, 'python'> = {},
): Promise<RunCheck> {
  const { config } = resolved;
  const stages = await withScratchWorker(
    config.worker,
    async ({ client, identity }, scratch) => {
      requirePackages(config, identity.packages);
      return preflight(client, config, planRun(resolved), new RunFolder(scratch), identity.device);
    },
    options,
  );
  return { stages, problems: problemsOf(stages) };
}
