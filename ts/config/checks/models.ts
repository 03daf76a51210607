import type { Findings, Path } from '../findings.js';
import {
  isStageReference,
  isT5,
  type ModelConfig,
  type ModelReference,
  type RunConfig,
  type StageConfig,
} from '../schema.js';

/** Checks that a stage may have the model it names. */
export function checkModel(
  reference: ModelReference,
  path: Path,
  config: RunConfig,
  earlier: readonly string[],
  findings: Findings,
): void {
  if (typeof reference === 'string') {
    const models = Object.keys(config.models);
    if (models.includes(reference)) return;
    if (reference in config.stages) {
      findings.error(path, `"${reference}" is a stage, no model; write {stage: ${reference}}`);
    } else findings.known(path, 'model', reference, models);
  } else if (isStageReference(reference) && !earlier.includes(reference.stage)) {
    const at = [...path, 'stage'];
    if (reference.stage in config.stages) {
      findings.error(at, `stage "${reference.stage}" does not come before this one; order the stages so`);
    } else findings.known(at, 'stage', reference.stage, earlier);
  }
}

/** The model behind a reference, perhaps the student of an earlier stage, and the place it is written at. */
export function modelBehind(
  reference: ModelReference,
  path: Path,
  config: RunConfig,
  earlier: readonly string[],
): { readonly model: ModelConfig | undefined; readonly at: Path } | null {
  if (typeof reference === 'string') return { model: config.models[reference], at: ['models', reference] };
  if (!isStageReference(reference)) return { model: reference, at: path };
  const student = config.stages[reference.stage]?.student;
  const before = earlier.indexOf(reference.stage);
  if (before < 0 || student === undefined) return null;
  return modelBehind(student, ['stages', reference.stage, 'student'], config, earlier.slice(0, before));
}

/** Updates below 2^-9 of a weight are lost in 16 bits. Adapters are in float32 whatever lies below them. */
export function checkPrecision(
  name: string,
  { student, training }: StageConfig,
  config: RunConfig,
  earlier: readonly string[],
  findings: Findings,
): void {
  const weights = modelBehind(student, ['stages', name, 'student'], config, earlier);
  if ((weights?.model?.dtype ?? 'float32') === 'float32' || training.lora !== null) return;
  findings.error(
    [...(weights?.at ?? []), 'dtype'],
    `stage "${name}" trains these weights, which must be float32; give \`dtype: float32\` and, for fast matrix ` +
      'products, `compute_dtype: bfloat16`; or train adapters (`training.lora`)',
  );
}

/**
 * What an encoder-decoder cannot do, where a stage's models are built in: of others the worker alone knows what they
 * are, and says so when the stage starts.
 */
export function checkEncoder(
  name: string,
  { student, teacher, training }: StageConfig,
  config: RunConfig,
  earlier: readonly string[],
  findings: Findings,
): void {
  const path = ['stages', name];
  const builtin = (reference: ModelReference | null): string | undefined => {
    const source = reference && modelBehind(reference, path, config, earlier)?.model?.source;
    return source?.startsWith('builtin:') ? source : undefined;
  };
  const [own, other] = [builtin(student), builtin(teacher)];
  if (own === undefined) return;
  if (other !== undefined && isT5(own) !== isT5(other))
    findings.error(
      [...path, 'teacher'],
      `one of ${own} (the student) and ${other} is an encoder-decoder, which reads prompts apart; choose two of one kind`,
    );
  if (!isT5(own)) return;
  if (training.packing)
    findings.error([...path, 'training', 'packing'], `${own} cannot take packed rows; set it to false`);
  if (typeof student === 'object' && student.init === 'layers')
    findings.error(
      [...path, 'student', 'init'],
      `layers of ${own} cannot be dropped; take all of it, or another shape`,
    );
}
