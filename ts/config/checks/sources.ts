import type { Findings, Path } from '../findings.js';
import { constantValue, type MethodConfig, type SourceConfig, type StageConfig } from '../schema.js';
import { isDrawnAhead, keepsResponses, partRows } from '../sources.js';
import { stageSchedules } from '../stage_schedules.js';

/** Rounding of decimal shares such as 0.1 + 0.2 + 0.7. */
const SHARE_TOLERANCE = 1e-6;

function checkShares(sources: MethodConfig['sources'], path: Path, findings: Findings): void {
  const shares = Object.values(sources).map(({ share }) => share);
  const sum = shares.reduce((total, share) => total + share, 0);
  if (shares.length === 0) findings.error(path, 'a method needs at least one source');
  else if (Math.abs(sum - 1) > SHARE_TOLERANCE) {
    findings.error(path, `the shares must sum to 1; they sum to ${Number(sum.toPrecision(6))}`);
  }
  if ('all' in sources)
    findings.error([...path, 'all'], '"all" stands for all parts; name this one otherwise');
}

/** Keys that a source sets and that mean nothing where its responses come from, each with the reason. */
function senseless(source: SourceConfig): readonly (readonly [keyof SourceConfig, string])[] {
  const { from, probability, mixture, replay, max_staleness, cache, responses_seed } = source;
  const keys = [
    ['probability', constantValue(probability) !== 1, from === 'dataset', 'no model draws here'],
    ['mixture', constantValue(mixture) !== 0, from !== 'student', 'the student does not draw here'],
    ['replay', replay !== null, from !== 'student', 'the student does not draw here'],
    ['max_staleness', max_staleness !== null, from !== 'student', 'only responses of the student age'],
    ['cache', cache !== null, from !== 'teacher', 'the teacher does not draw here'],
    [
      'responses_seed',
      (responses_seed ?? null) !== null,
      !keepsResponses(source),
      'no responses of the teacher are kept here',
    ],
  ] as const;
  return keys.flatMap(([key, given, wrong, why]) => (given && wrong ? [[key, why] as const] : []));
}

function checkChance({ from, probability, replay }: SourceConfig, path: Path, findings: Findings): void {
  if (from === 'dataset' || constantValue(probability) !== 0) return;
  findings.warn(
    [...path, 'probability'],
    `at 0 the ${from} never draws${replay === null ? '' : ', so nothing is replayed either'}; give more, or from: dataset`,
  );
}

function checkReplay(source: SourceConfig, path: Path, findings: Findings): void {
  if (source.replay === null || constantValue(source.replay.fresh) !== 1) return;
  findings.warn(
    [...path, 'replay', 'fresh'],
    'at 1 every draw is new and nothing is replayed; give less, for example {kind: linear, from: 1, to: 0}',
  );
}

/** An iteration's rollouts age by a step each step, and are all of one draw. */
function checkIteration(source: SourceConfig, method: MethodConfig, path: Path, findings: Findings): void {
  const { minibatches, epochs } = method.iteration;
  const length = minibatches * epochs;
  if (source.replay !== null && length > 1) {
    findings.error(
      [...path, 'replay'],
      `an iteration of ${length} steps uses its own rollouts again already; replay needs minibatches: 1 and epochs: 1`,
    );
  }
  if (isDrawnAhead(source, method.iteration) && source.max_staleness !== 1) {
    findings.warn(
      [...path, 'max_staleness'],
      'no more effect than 1: responses are drawn one step ahead at most; give 1',
    );
  }
  if (source.max_staleness !== null && length - 1 > source.max_staleness) {
    findings.error(
      [...path, 'max_staleness'],
      `the last step of an iteration learns from responses ${length - 1} steps old; allow that, or make minibatches × epochs at most ${source.max_staleness + 1}`,
    );
  }
}

/** Checks the parts of each batch: shares, and what means something for where responses come from. */
export function checkSources(method: MethodConfig, path: Path, findings: Findings): void {
  checkShares(method.sources, path, findings);
  for (const [name, source] of Object.entries(method.sources)) {
    const at = [...path, name];
    for (const [key, why] of senseless(source)) {
      findings.error([...at, key], `no effect with from: ${source.from}, as ${why}; leave it out`);
    }
    checkChance(source, at, findings);
    checkReplay(source, at, findings);
    checkIteration(source, method, at, findings);
  }
}

/** Rows of one rollout at most, as `generate` takes them; a test holds it to protocol/protocol.json. */
export const MOST_ROWS = 65_536;

/** Checks buffers and iterations against the rows that a batch takes from them. */
export function checkBuffers(stage: StageConfig, path: Path, findings: Findings): void {
  const { sources, iteration } = stage.method;
  const rows = partRows(sources, stage.training.batch_size);
  for (const [part, { from, replay, max_staleness }] of Object.entries(sources)) {
    const each = rows.get(part) ?? 0;
    const drawn = iteration.minibatches * each;
    if (from !== 'dataset' && drawn > MOST_ROWS) {
      findings.error(
        [...path, 'method', 'iteration', 'minibatches'],
        `an iteration would draw ${drawn} rows of part "${part}" at once; ${MOST_ROWS} are the most, so give ${Math.floor(MOST_ROWS / each)} or fewer`,
      );
    }
    if (replay === null) continue;
    const at = [...path, 'method', 'sources', part];
    const room = Math.floor(replay.capacity / each);
    if (room < 1) {
      findings.error([...at, 'replay', 'capacity'], `a batch takes ${each} rows; keep at least as many`);
    } else if (max_staleness !== null && max_staleness < room) {
      findings.warn(
        [...at, 'max_staleness'],
        `nothing is replayed: in ${max_staleness} steps the student draws ${max_staleness * each} rows, and the buffer is never full; allow ${room} steps or more, or lower the capacity`,
      );
    }
  }
}

/** A cached response is one for all steps; sampling that changes would make it another one. */
export function checkCache(stage: StageConfig, path: Path, findings: Findings): void {
  const changing = (['temperature', 'max_new_tokens'] as const).filter((key) => {
    const schedule = stage.rollout[key];
    return schedule !== null && constantValue(schedule) === null;
  });
  for (const [part, { from, cache }] of Object.entries(stage.method.sources)) {
    if (!keepsResponses({ from, cache })) continue;
    for (const key of changing) {
      findings.error(
        [...path, 'method', 'sources', part, 'cache'],
        `one response a prompt is kept, and \`rollout.${key}\` changes from step to step; give cache: false, or a constant`,
      );
    }
  }
}

/** What a rollout follows from is decided a step before its use, so before the evaluation that may lie between. */
export function checkAhead(stage: StageConfig, path: Path, findings: Findings): void {
  const schedules = stageSchedules(stage);
  for (const [part, source] of Object.entries(stage.method.sources)) {
    if (!isDrawnAhead(source, stage.method.iteration)) continue;
    const deciding = [`sources.${part}.probability`, `sources.${part}.mixture`];
    for (const name of [...deciding, 'rollout.temperature', 'rollout.max_new_tokens']) {
      const found = schedules.get(name);
      if (found?.schedule.kind !== 'adaptive') continue;
      findings.error(
        [...path, ...found.path],
        `moves after an evaluation, and the responses of part "${part}" are drawn a step ahead, before it; give a constant or a schedule by steps, or \`max_staleness: 0\``,
      );
    }
  }
}

/** A share that moves while an iteration runs would ask for rollouts that its start did not draw. */
export function checkIterationMoves(stage: StageConfig, path: Path, findings: Findings): void {
  const { minibatches, epochs } = stage.method.iteration;
  const length = minibatches * epochs;
  if (stage.evaluation.every % length === 0) return;
  for (const [part, { probability }] of Object.entries(stage.method.sources)) {
    if (probability.kind !== 'adaptive') continue;
    findings.error(
      [...path, 'method', 'sources', part, 'probability'],
      `moves after an evaluation, which may lie within an iteration of ${length} steps; give an \`evaluation.every\` that is a multiple of ${length}`,
    );
  }
}
