import type { Findings, Path } from '../findings.js';
import { OBJECTIVES } from '../objectives.js';
import type { RunConfig, StageConfig } from '../schema.js';
import { partRows } from '../sources.js';
import { checkSampledFrom } from './gradient.js';
import { checkLengths } from './lengths.js';
import { checkMethod, teacherNeed } from './method.js';
import { checkEncoder, checkModel, checkPrecision } from './models.js';
import { checkSchedules } from './schedules.js';
import { checkAhead, checkBuffers, checkCache, checkIterationMoves } from './sources.js';

/** A part's one row over what its share means, from which on it is told. */
const FAR_ABOVE = 1.5;

function checkData(stage: StageConfig, path: Path, config: RunConfig, findings: Findings): void {
  const known = Object.keys(config.data);
  const dataset = (at: Path, name: string | null) => {
    if (name !== null) findings.known([...path, ...at], 'dataset', name, known);
  };
  dataset(['data', 'train'], stage.data.train);
  dataset(['data', 'validation'], stage.data.validation);
  stage.data.test.forEach((name, index) => {
    dataset(['data', 'test', index], name);
  });
  for (const [part, source] of Object.entries(stage.method.sources)) {
    dataset(['method', 'sources', part, 'data'], source.data);
  }
}

function checkTeacher(stage: StageConfig, path: Path, findings: Findings): void {
  if (stage.teacher !== null) {
    const used =
      teacherNeed(stage.method) !== null ||
      stage.evaluation.measure.some(needsTeacher) ||
      orderNeedsTeacher(stage);
    if (!used) findings.warn([...path, 'teacher'], 'nothing uses the teacher; it is loaded for nothing');
    return;
  }
  const need = teacherNeed(stage.method);
  if (need !== null) {
    findings.error([...path, 'method', ...need], 'needs a teacher, and this stage has none; set `teacher`');
  }
  if (orderNeedsTeacher(stage)) {
    findings.error(
      [...path, 'training', 'order', 'by'],
      `${stage.training.order.by} needs a teacher, and this stage has none; set \`teacher\`, or order by length`,
    );
  }
  stage.evaluation.measure.forEach((measure, index) => {
    if (!needsTeacher(measure)) return;
    findings.error(
      [...path, 'evaluation', 'measure', index],
      `${measure} needs a teacher, and this stage has none; set \`teacher\` or leave it out`,
    );
  });
}

const needsTeacher = (measure: string) => OBJECTIVES[measure]?.teacher ?? false;

const orderNeedsTeacher = ({ training: { order } }: StageConfig) =>
  order.by === 'teacher_loss' || order.by === 'gap';

function checkEvaluation(stage: StageConfig, path: Path, findings: Findings): void {
  const { best, every, greedy, initial, measure, metrics, seeds } = stage.evaluation;
  const at = [...path, 'evaluation'];
  if (!greedy && seeds.length === 0) {
    findings.error([...at, 'seeds'], 'nothing would be decoded: give a seed or `greedy: true`');
  }
  if (new Set(seeds).size < seeds.length) findings.error([...at, 'seeds'], 'a seed occurs twice');
  if (stage.data.validation === null) {
    for (const [key, on] of [
      ['every', every > 0],
      ['initial', initial],
      ['measure', measure.length > 0],
      ['best', best !== null],
    ] as const) {
      if (on)
        findings.error(
          [...at, key],
          'needs a validation set, and this stage has none; set `data.validation`',
        );
    }
  }
  if (best === null) return;
  findings.known([...at, 'best', 'metric'], 'metric', best.metric, [...metrics, ...measure]);
  if (every === 0) findings.warn([...at, 'best'], 'no effect: `evaluation.every` is 0');
}

function checkBatchSize(stage: StageConfig, path: Path, findings: Findings): void {
  const { sources } = stage.method;
  const size = stage.training.batch_size;
  const at: Path = [...path, 'training', 'batch_size'];
  for (const [part, rows] of partRows(sources, size)) {
    const meant = (sources[part]?.share ?? 0) * size;
    if (rows === 0) {
      const parts = Object.keys(sources).length;
      const message = `a batch of ${size} rows leaves none for part "${part}"; give it ${parts} or more, one for each part`;
      findings.error(at, message);
    } else if (rows === 1 && rows >= FAR_ABOVE * meant) {
      const message = `part "${part}" has 1 of ${size} rows where its share means ${Number(meant.toPrecision(2))}: every part has one; a larger batch keeps to the shares`;
      findings.warn(at, message);
    }
  }
}

function checkOrder({ training: { order } }: StageConfig, path: Path, findings: Findings): void {
  if (order.by !== 'shuffle') return;
  for (const [key, given] of [
    ['descending', order.descending],
    ['epochs', order.epochs !== 1],
  ] as const)
    if (given) findings.warn([...path, 'training', 'order', key], 'no effect: `by` is shuffle');
}

function checkTraining(stage: StageConfig, path: Path, findings: Findings): void {
  checkBatchSize(stage, path, findings);
  const { steps, lr } = stage.training;
  if (steps !== null && lr.warmup >= steps) {
    findings.warn(
      [...path, 'training', 'lr', 'warmup'],
      `${lr.warmup} steps of warm-up are as many as the ${steps} of training; the learning rate never arrives`,
    );
  }
  checkOrder(stage, path, findings);
  const { train } = stage.data;
  const used = Object.values(stage.method.sources).some(({ data }) => data === null || data === train);
  if (!used && stage.training.epochs !== null) {
    findings.error([...path, 'training', 'epochs'], 'no source uses the training set; give `steps`');
  }
}

/** Checks one stage against the run and the stages before it. */
export function checkStage(
  name: string,
  stage: StageConfig,
  config: RunConfig,
  earlier: readonly string[],
  findings: Findings,
): void {
  const path: Path = ['stages', name];
  checkModel(stage.student, [...path, 'student'], config, earlier, findings);
  if (stage.teacher !== null) checkModel(stage.teacher, [...path, 'teacher'], config, earlier, findings);
  checkPrecision(name, stage, config, earlier, findings);
  checkEncoder(name, stage, config, earlier, findings);
  checkMethod(stage.method, [...path, 'method'], findings);
  checkData(stage, path, config, findings);
  checkTeacher(stage, path, findings);
  checkEvaluation(stage, path, findings);
  checkTraining(stage, path, findings);
  checkBuffers(stage, path, findings);
  checkCache(stage, path, findings);
  checkIterationMoves(stage, path, findings);
  checkAhead(stage, path, findings);
  checkSampledFrom(stage, path, findings);
  checkSchedules(stage, path, findings);
  checkLengths(name, stage, config, earlier, findings);
}
