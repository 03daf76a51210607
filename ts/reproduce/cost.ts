import {
  isStageReference,
  isT5,
  type ModelConfig,
  type ModelReference,
  type RunConfig,
  type StageConfig,
} from '../config/schema.js';
import { mixes } from '../config/sources.js';
import { sharesOf, stepsOf } from '../plan/length.js';

/**
 * What a stage will take, from its settings alone: upper bounds, since rows may be shorter than they may be, and a token
 * of an encoder-decoder goes through one half of it.
 */
export interface StageCost {
  /** Null where they are epochs of a set whose rows are not known. */
  readonly steps: number | null;
  /** Tokens that go through the student, prompts included. */
  readonly tokens: number | null;
  /** Floating-point operations of student, teacher and generation; null where a model's size is not known either. */
  readonly flops: number | null;
}

/** Tokens of the built-in tasks' tokenizer. */
const BUILTIN_VOCABULARY = 99;

/** Rows of a table of T5's relative positions, of which encoder and decoder have one each. */
const T5_BUCKETS = 32;

function builtinParameters(source: string, arch: NonNullable<ModelConfig['arch']>): number {
  const { hidden_size: hidden, layers, heads, kv_heads, intermediate_size, tie_embeddings } = arch;
  const attention = 2 * hidden * hidden * (1 + kv_heads / heads);
  const perceptron = 3 * hidden * intermediate_size;
  const embeddings = BUILTIN_VOCABULARY * hidden * (tie_embeddings ? 1 : 2);
  if (!isT5(source)) return layers * (attention + perceptron) + embeddings;
  // A block of the encoder has one attention, one of the decoder two; before each of their parts, and last, is a norm.
  const blocks = layers * (3 * attention + 2 * perceptron + 5 * hidden);
  return blocks + 2 * (hidden + T5_BUCKETS * heads) + embeddings;
}

/**
 * Parameters of a model; null where neither the configuration nor `known` tells.
 *
 * @param known parameters by the name of a model of the run; of some `layers` of another model, those of the result
 */
export function parametersOf(
  run: RunConfig,
  reference: ModelReference,
  known: Readonly<Record<string, number>>,
): number | null {
  if (typeof reference === 'string') {
    const model = run.models[reference];
    return known[reference] ?? (model === undefined ? null : parametersOf(run, model, known));
  }
  if (isStageReference(reference)) {
    const stage = run.stages[reference.stage];
    return stage === undefined ? null : parametersOf(run, stage.student, known);
  }
  const { source, arch } = reference;
  return arch === null ? null : builtinParameters(source, arch);
}

/**
 * Cost of one stage: 2 operations a parameter and token forward, 4 more backward (2 with adapters alone), 2 for each
 * token drawn, by each model that draws.
 *
 * @param rows of the training set, which `epochs` are counted by; null where they are not known
 */
export function stageCost(
  run: RunConfig,
  stage: StageConfig,
  known: Readonly<Record<string, number>>,
  rows: number | null,
): StageCost {
  const student = parametersOf(run, stage.student, known);
  const teacher = stage.teacher === null ? 0 : parametersOf(run, stage.teacher, known);
  const steps = stepsOf(stage, rows);
  if (steps === null) return { steps, tokens: null, flops: null };
  const longest = run.data[stage.data.train]?.max_tokens ?? 0;
  const tokens = steps * stage.training.batch_size * longest;
  if (student === null || teacher === null) return { steps, tokens, flops: null };
  const trained = stage.training.lora === null ? 6 : 4;
  const scored = tokens * (trained * student + 2 * teacher);
  return { steps, tokens, flops: scored + steps * drawnFlops(stage, student, teacher) };
}

/** Operations of drawing a step's responses; a teacher's are kept, and counted as if each were drawn anew. */
function drawnFlops(stage: StageConfig, student: number, teacher: number): number {
  const each = sharesOf(stage).map(({ from, rows, source }) => {
    if (from === 'dataset') return 0;
    const mixed = from === 'student' && mixes(source) ? teacher : 0;
    const drawing = (from === 'teacher' ? teacher : student) + mixed;
    return rows * stage.rollout.sampling.max_new_tokens * 2 * drawing;
  });
  return each.reduce((sum, value) => sum + value, 0) / stage.method.iteration.epochs;
}
