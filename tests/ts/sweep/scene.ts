import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { RunEvent } from '../../../ts/metrics/events.js';
import { Journal } from '../../../ts/metrics/journal.js';
import { type EvaluationRow, evaluationRowSchema, stepRowSchema } from '../../../ts/metrics/rows.js';
import { RunError } from '../../../ts/run/errors.js';
import { RunFolder } from '../../../ts/run/folder/run_folder.js';
import type { StageStore, StoreRunOptions } from '../../../ts/store/stage_store.js';
import type { StoredStage } from '../../../ts/store/stored_stage.js';
import { resolveSweep } from '../../../ts/sweep/resolve.js';
import type { Study, Trial } from '../../../ts/sweep/study.js';
import { RUN, workspace } from '../config/workspace.js';
import { makeEvaluation, makeStep } from '../metrics/make_rows.js';

const JUDGED = 'student';
export const LR = 'stages.student.training.lr.from';
export const WEIGHT = 'stages.student.method.terms.anchor.weight';

/** A small sweep over the small run; tests change it by overrides. */
export const SWEEP = `name: small
run: ./run.yaml
stage: student
set:
  stages.student.evaluation: {every: 5, seeds: [10, 20]}
  stages.student.data.test: []
space:
  ${LR}: {log_uniform: [1.0e-4, 1.0e-2]}
  ${WEIGHT}: {values: [0, 0.1, 0.5]}
search: {kind: random, trials: 4}
objective: {metric: exact_match}
`;

export const sweepFiles = (text: string = SWEEP) => workspace({ 'run.yaml': RUN, 'sweep.yaml': text });

export const resolveText = (text: string, ...overrides: readonly string[]) =>
  resolveSweep('./sweep.yaml', overrides, sweepFiles(text));

export const resolveSmall = (...overrides: readonly string[]) => resolveText(SWEEP, ...overrides);

/** What a search remembers, as its journal would. */
interface Remembered {
  readonly trial: Trial;
  ended: string | null;
  readonly steps: Map<number, number>;
}

/** A search in memory that hands out the given parameters; `open` again is what comes after a kill. */
export class FakeSearch {
  readonly trials: Remembered[] = [];
  /** Trials that are to be stopped, by the step from which on. */
  readonly stops = new Map<number, number>();
  opened = 0;

  constructor(private readonly parameters: (number: number) => Trial['parameters']) {}

  readonly open = async (): Promise<Study> => {
    this.opened += 1;
    return {
      ended: this.trials.filter(({ ended }) => ended !== null).map(({ trial }) => trial.number),
      running: this.trials.filter(({ ended }) => ended === null).map(({ trial }) => trial),
      ask: async () => {
        const number = this.trials.length;
        const trial = { number, parameters: this.parameters(number) };
        this.trials.push({ trial, ended: null, steps: new Map() });
        return trial;
      },
      report: async (number, step, value) => {
        const { steps } = this.of(number);
        if (!steps.has(step)) steps.set(step, value);
        return step >= (this.stops.get(number) ?? Number.POSITIVE_INFINITY);
      },
      tell: async ({ number, state, value }) => {
        const trial = this.of(number);
        if (trial.ended !== null) throw new Error(`trial ${number} was told twice`);
        trial.ended = value === null ? state : `${state} ${value}`;
      },
      weigh: async () => null,
      close: async () => {},
    };
  };

  of(number: number): Remembered {
    const found = this.trials[number];
    if (found === undefined) throw new Error(`no trial ${number}`);
    return found;
  }

  get endings(): readonly (string | null)[] {
    return this.trials.map(({ ended }) => ended);
  }
}

/** What training a stage comes to, by its learning rate: a value, or an error. */
type Training = (lr: number) => number | Error;

/**
 * Stages that are trained at once: an evaluation every 5 of 20 steps, whose value grows to the final one. They stop at an
 * evaluation when asked to, and go on there.
 */
export class FakeStages implements Pick<StageStore, 'folder' | 'run' | 'dropCheckpoints'> {
  /** Names of the stages that were trained, and from which step. */
  readonly trained: string[] = [];
  /** Hashes of the stages whose checkpoints were dropped. */
  readonly dropped: string[] = [];
  /** Called after each evaluation during training. */
  atStep: (step: number) => void = () => {};
  /** Whether the judged stage skips an update, by its learning rate and the 1-based step. */
  skips: (lr: number, step: number) => boolean = () => false;

  constructor(
    private readonly path: string,
    private readonly training: Training,
  ) {}

  folder(stage: StoredStage): RunFolder {
    return new RunFolder(`${this.path}/${stage.hash.slice(0, 16)}`);
  }

  dropCheckpoints({ hash }: StoredStage): void {
    this.dropped.push(hash);
  }

  async run(stage: StoredStage, { emit, signal }: StoreRunOptions): Promise<RunFolder> {
    const folder = this.folder(stage);
    if (this.#done.has(stage.hash)) return folder;
    const { evaluations } = folder.stage(stage.name);
    mkdirSync(dirname(evaluations), { recursive: true });
    const journal = Journal.open(evaluations, evaluationRowSchema);
    try {
      await this.#train(stage, journal, emit, signal);
      this.#done.add(stage.hash);
      mkdirSync(folder.stage(stage.name).student, { recursive: true });
      writeFileSync(folder.stage(stage.name).done, '');
    } finally {
      journal.close();
    }
    return folder;
  }

  async #train(
    stage: StoredStage,
    journal: Journal<EvaluationRow>,
    emit: (event: RunEvent) => void,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const config = stage.configure(() => '/parent').stages[stage.name];
    const schedule = config?.training.lr;
    const lr = schedule !== undefined && 'from' in schedule ? schedule.from : 0;
    const result = this.training(lr);
    const begin = this.#doneSteps(stage);
    this.trained.push(`${stage.name} from ${begin}`);
    if (stage.name !== JUDGED) return;
    if (result instanceof Error) throw result;
    const write = (row: EvaluationRow) => {
      journal.append(row);
      emit(row);
    };
    for (let step = begin + 5; step <= 20; step += 5) {
      write(evaluation(stage, { step, final: false, mean: (result * step) / 20, seed: 10 }));
      this.#steps.set(stage.hash, step);
      this.atStep(step);
      // The search answers meanwhile, as it does while a worker computes.
      await new Promise((resolve) => setImmediate(resolve));
      if (signal?.aborted) throw new RunError('interrupted', `stopped after step ${step}`);
    }
    this.#writeSteps(stage, lr);
    for (const [seed, mean] of [
      [10, result - 1],
      [20, result + 1],
    ] as const)
      write(evaluation(stage, { step: 20, final: true, mean, seed }));
  }

  #writeSteps(stage: StoredStage, lr: number): void {
    const steps = Journal.open(this.folder(stage).stage(stage.name).metrics, stepRowSchema);
    for (let step = 1; step <= 20; step += 1)
      steps.append(makeStep({ stage: stage.name, step, metrics: { skipped: this.skips(lr, step) ? 1 : 0 } }));
    steps.close();
  }

  readonly #steps = new Map<string, number>();
  readonly #done = new Set<string>();
  #doneSteps(stage: StoredStage): number {
    return this.#steps.get(stage.hash) ?? 0;
  }
}

const evaluation = (stage: StoredStage, change: Partial<EvaluationRow>): EvaluationRow =>
  makeEvaluation({ stage: stage.name, dataset: 'check', ...change });
