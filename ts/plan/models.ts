import { present } from '../common/present.js';
import { streamSeed } from '../common/random.js';
import { isStageReference, type ModelConfig, type ModelReference, type RunConfig } from '../config/schema.js';
import type { ModelPlan, RunPlan } from './types.js';

/** Who asks for the model; keys the seed of an inline model's random weights. */
interface Asker {
  readonly stage: string;
  readonly role: 'student' | 'teacher';
}

function fromModel(model: ModelConfig, seed: number): ModelPlan {
  const { source, ...rest } = model;
  return { ...rest, origin: { kind: 'source', source }, seed: model.seed ?? seed };
}

/**
 * Resolves a reference to a model. A named model starts from the same random weights wherever it is used, so
 * that stages which begin with it are comparable. An exported stage keeps its student's dtypes and attention.
 */
export function planModel(config: RunConfig, reference: ModelReference, asker: Asker): ModelPlan {
  if (typeof reference === 'string') {
    const model = present(config.models[reference], `model ${reference} in a checked configuration`);
    return fromModel(model, streamSeed(config.seed, 'model', reference));
  }
  const seed = streamSeed(config.seed, 'stage', asker.stage, asker.role);
  if (!isStageReference(reference)) return fromModel(reference, seed);
  const stage = present(
    config.stages[reference.stage],
    `stage ${reference.stage} in a checked configuration`,
  );
  const exported = planModel(config, stage.student, { stage: reference.stage, role: 'student' });
  return {
    origin: { kind: 'stage', stage: reference.stage },
    init: reference.init,
    layers: reference.layers,
    arch: null,
    seed,
    dtype: exported.dtype,
    compute_dtype: exported.compute_dtype,
    attention: exported.attention,
    trust_remote_code: exported.trust_remote_code,
  };
}

/** A model from outside the run. */
export interface SourceModel extends ModelPlan {
  readonly origin: Extract<ModelPlan['origin'], { readonly kind: 'source' }>;
}

/** The model from outside the run that one descends from, whatever earlier stages make of it. */
export function rootModel(plan: RunPlan, model: ModelPlan): SourceModel {
  const { origin } = model;
  if (origin.kind === 'source') return { ...model, origin };
  const before = present(
    plan.stages.find(({ name }) => name === origin.stage),
    `stage ${origin.stage} in a plan`,
  );
  return rootModel(plan, before.student);
}
