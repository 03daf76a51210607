import { counted } from '../../common/counted.js';
import { formatSeconds } from '../../report/formats/number_format.js';
import { printable } from '../../report/formats/table.js';
import { type ProgressState, type StageProgress, timeLeft } from './state.js';
import { finalScores, lastEvaluation, losses, speed } from './words.js';

/** Paints text, or leaves it as it is. */
export interface Paint {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly good: (text: string) => string;
}

const sgr =
  (open: number, close: number) =>
  (text: string): string =>
    `\u001b[${open}m${text}\u001b[${close}m`;
const same = (text: string): string => text;

export const COLOURS: Paint = { bold: sgr(1, 22), dim: sgr(2, 22), good: sgr(36, 39) };
export const PLAIN: Paint = { bold: same, dim: same, good: same };

/** One line for a log: `[2/5 start] step 140/300, loss 0.81, 6.6 k tokens/s, left: about 12 s of the stage`. */
export function plainLine(state: ProgressState, now: number): string | undefined {
  const { stage } = state;
  if (stage === null) return undefined;
  const parts =
    stage.phase === 'training'
      ? [
          `step ${stage.step}/${stage.steps}`,
          ...losses(stage.recent.at(-1)),
          speed(stage),
          leftWords(state, now),
        ]
      : [`${stage.phase} ${stage.detail}${counter(stage)}`];
  return printable(`${place(state, stage.name)} ${parts.filter((part) => part !== '').join(', ')}`);
}

/** What a stage came to, in lines that stay: steps, time, final scores. */
export function stageSummary(before: ProgressState, name: string, seconds: number): string[] {
  const stage = before.stage?.name === name ? before.stage : null;
  if (stage === null) return [printable(`${place(before, name)} done before`)];
  const head = `${place(before, name)} done: ${counted(stage.step, 'step')}, ${formatSeconds(seconds)}`;
  return [head, ...finalScores(stage.evaluations).map((text) => `  ${text}`)].map(printable);
}

/** The redrawn block: what runs, how far, how well, how long yet. No line is longer than `width`. */
export function liveLines(state: ProgressState, now: number, width: number, paint: Paint): string[] {
  const { stage, run } = state;
  if (run === null || stage === null) return [];
  const method = run.stages.find(({ name }) => name === stage.name)?.method ?? '';
  const evaluation = lastEvaluation(stage.evaluations);
  const left = leftWords(state, now);
  const elapsed = `${wholeSeconds(now - state.startedAt)} so far`;
  const title = `stage ${stageNumber(state, stage.name)} of ${run.stages.length}: ${stage.name}`;
  return [
    beside(width, [paint.bold, title], [paint.dim, `by ${method}`]),
    bar(stage, width, paint),
    beside(width, ...losses(stage.recent.at(-1)).map((text): Piece => [same, text]), [
      paint.dim,
      speed(stage),
    ]),
    beside(width, [same, left], [paint.dim, elapsed]),
    ...(evaluation === '' ? [] : [beside(width, [paint.dim, evaluation])]),
  ].filter((line) => line !== '');
}

type Piece = readonly [paint: (text: string) => string, text: string];

/** Pieces side by side, as many as fit; the first is cut where it alone is too long. */
function beside(width: number, ...pieces: readonly Piece[]): string {
  let used = 0;
  const shown: string[] = [];
  for (const [paint, raw] of pieces) {
    const text = printable(raw).slice(0, shown.length === 0 ? width : undefined);
    if (text === '') continue;
    const needed = text.length + (shown.length === 0 ? 0 : 3);
    if (used + needed > width) break;
    used += needed;
    shown.push(paint(text));
  }
  return shown.join('   ');
}

function bar(stage: StageProgress, width: number, paint: Paint): string {
  const training = stage.phase === 'training';
  const [done, total] = training ? [stage.step, stage.steps] : [stage.done, stage.total];
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const length = Math.max(0, Math.min(30, width - 45));
  const filled = Math.round(share * length);
  const drawn = paint.good('━'.repeat(filled)) + paint.dim('─'.repeat(length - filled));
  const words = training ? `step ${done} of ${total}` : `${stage.phase} ${stage.detail}${counter(stage)}`;
  const text = beside(width - length - 1, [same, words]);
  return length === 0 ? text : `${drawn} ${text}`;
}

function counter({ done, total }: StageProgress): string {
  return total > 1 ? ` (${done} of ${total})` : '';
}

/** Empty while an estimate would be wrong by far: the first steps fill caches and are slower than the rest. */
function leftWords(state: ProgressState, now: number): string {
  const left = timeLeft(state, now);
  if (left === null || (state.stage?.stepsHere ?? 0) < 3) return '';
  const last = state.run?.stages.at(-1)?.name === state.stage?.name;
  const stage = left.stage < 1000 ? [] : [`${wholeSeconds(left.stage)} of the stage`];
  const run = last || left.run < 1000 ? [] : [`${wholeSeconds(left.run)} of the run`];
  return stage.length + run.length === 0 ? '' : `left: about ${[...stage, ...run].join(', ')}`;
}

function wholeSeconds(milliseconds: number): string {
  return formatSeconds(Math.round(milliseconds / 1000));
}

function place(state: ProgressState, name: string): string {
  return `[${stageNumber(state, name)}/${state.run?.stages.length ?? 1} ${name}]`;
}

function stageNumber(state: ProgressState, name: string): number {
  return (state.run?.stages.findIndex((stage) => stage.name === name) ?? 0) + 1;
}
