import type { Phase, RunEvent, RunStarted, StageStarted } from '../../metrics/events.js';
import type { EvaluationRow, StepRow } from '../../metrics/rows.js';

/** What is known of the stage that runs. Times in milliseconds of the view's clock. */
export interface StageProgress {
  readonly name: string;
  readonly steps: number;
  readonly step: number;
  readonly startedAt: number;
  /** When the first step of this process began; null before it ended. */
  readonly trainingFrom: number | null;
  readonly stepsHere: number;
  readonly lastStepAt: number | null;
  /** The latest steps, oldest first. */
  readonly recent: readonly StepRow[];
  readonly phase: Phase;
  readonly detail: string;
  readonly done: number;
  readonly total: number;
  readonly evaluations: readonly EvaluationRow[];
}

/** How long a stage that is over took, in milliseconds. */
export interface StageTiming {
  readonly stage: string;
  readonly perStep: number;
  /** Everything but the steps: loading, the final evaluation, export. */
  readonly overhead: number;
}

export interface ProgressState {
  readonly run: RunStarted | null;
  readonly startedAt: number;
  readonly stage: StageProgress | null;
  readonly over: readonly string[];
  readonly timings: readonly StageTiming[];
}

/** Steps over which speeds are taken: enough to be steady, few enough to follow a change. */
const RECENT = 20;

export function initialState(now: number): ProgressState {
  return { run: null, startedAt: now, stage: null, over: [], timings: [] };
}

/** The state after an event that came at `now`. */
export function advance(state: ProgressState, event: RunEvent, now: number): ProgressState {
  switch (event.kind) {
    case 'run_started':
      return { ...initialState(now), run: event };
    case 'stage_started':
      return { ...state, stage: startStage(state, event, now) };
    case 'stage_finished':
      return finishStage(state, event.stage, now);
    case 'step':
    case 'evaluation':
      return state.stage === null ? state : { ...state, stage: advanceStage(state.stage, event, now) };
    case 'phase':
      return { ...state, stage: advanceStage(stageOf(state, event.stage, now), event, now) };
    default:
      return state;
  }
}

/** The running stage; a stage loads before it says how many steps it has. */
function stageOf(state: ProgressState, name: string, now: number): StageProgress {
  if (state.stage?.name === name) return state.stage;
  const steps = state.run?.stages.find((stage) => stage.name === name)?.steps ?? 0;
  return newStage(name, steps, 0, now);
}

function startStage(state: ProgressState, event: StageStarted, now: number): StageProgress {
  const { startedAt } = stageOf(state, event.stage, now);
  return newStage(event.stage, event.steps, event.resumed_from ?? 0, startedAt);
}

function newStage(name: string, steps: number, step: number, startedAt: number): StageProgress {
  return {
    name,
    steps,
    step,
    startedAt,
    trainingFrom: null,
    stepsHere: 0,
    lastStepAt: null,
    recent: [],
    phase: 'training',
    detail: '',
    done: 0,
    total: 0,
    evaluations: [],
  };
}

function advanceStage(
  stage: StageProgress,
  event: Extract<RunEvent, { kind: 'step' | 'evaluation' | 'phase' }>,
  now: number,
): StageProgress {
  switch (event.kind) {
    case 'step':
      return {
        ...stage,
        step: event.step,
        stepsHere: stage.stepsHere + 1,
        trainingFrom: stage.trainingFrom ?? now - 1000 * event.seconds.total,
        lastStepAt: now,
        recent: [...stage.recent, event].slice(-RECENT),
        phase: 'training',
        detail: '',
      };
    case 'evaluation': {
      const { scores: _scores, statistics: _statistics, ...row } = event;
      return { ...stage, evaluations: [...stage.evaluations, row] };
    }
    case 'phase':
      return { ...stage, phase: event.phase, detail: event.detail, done: event.done, total: event.total };
  }
}

function finishStage(state: ProgressState, name: string, now: number): ProgressState {
  const over = [...state.over, name];
  const stage = state.stage;
  if (stage?.name !== name) return { ...state, over };
  const perStep = millisecondsPerStep(stage);
  if (perStep === null) return { ...state, over, stage: null };
  const overhead = Math.max(0, now - stage.startedAt - perStep * stage.stepsHere);
  return { ...state, over, stage: null, timings: [...state.timings, { stage: name, perStep, overhead }] };
}

/** Wall clock per step, evaluations and checkpoints between steps included; null before the first. */
export function millisecondsPerStep(stage: StageProgress): number | null {
  if (stage.trainingFrom === null || stage.lastStepAt === null) return null;
  return (stage.lastStepAt - stage.trainingFrom) / stage.stepsHere;
}

/** Milliseconds. */
export interface TimeLeft {
  readonly stage: number;
  /** This stage and those after it. */
  readonly run: number;
}

/**
 * Time left, estimated; null while nothing is known. This stage at its own speed so far; later ones at the
 * speed of a stage of the same method where one is over, else at the mean of the known ones.
 */
export function timeLeft(state: ProgressState, now: number): TimeLeft | null {
  const { stage, run, timings } = state;
  const perStep = stage === null ? null : millisecondsPerStep(stage);
  if (stage === null || run === null || perStep === null || stage.lastStepAt === null) return null;
  const overhead = average(timings.map((timing) => timing.overhead));
  const since = now - stage.lastStepAt;
  const here = Math.max(0, perStep * (stage.steps - stage.step) + overhead - since);
  const known = [...timings, { stage: stage.name, perStep, overhead }];
  const later = run.stages.slice(run.stages.findIndex(({ name }) => name === stage.name) + 1);
  const laterTimes = later.map((next) => next.steps * speedOf(next.method, known, run) + overhead);
  return { stage: here, run: laterTimes.reduce((sum, time) => sum + time, here) };
}

function speedOf(method: string, known: readonly StageTiming[], run: RunStarted): number {
  const methods = new Map(run.stages.map((stage) => [stage.name, stage.method]));
  const alike = known.filter((timing) => methods.get(timing.stage) === method);
  return average((alike.length > 0 ? alike : known).map((timing) => timing.perStep));
}

function average(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
