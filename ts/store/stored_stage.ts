import { present } from '../common/present.js';
import { evaluatedSets } from '../config/evaluated.js';
import { configHash } from '../config/resolve.js';
import {
  type DatasetConfig,
  isStageReference,
  type ModelConfig,
  type ModelReference,
  type RunConfig,
  type StageConfig,
} from '../config/schema.js';
import { keepsResponses } from '../config/sources.js';
import { planModel } from '../plan/models.js';

/**
 * Changed whenever the same configuration would train another student than before. Hashes of stages have it in place of
 * a run's name, which decides nothing about a stage.
 */
const STORE_FORMAT = 'store-2';

/** A trained student by what decides it. */
export interface StoredStage {
  /**
   * SHA-256 of everything that decides the student: the stage, its datasets and models by content, its seed and name
   * (both key its random streams), and the hashes of the stages it takes models from.
   */
  readonly hash: string;
  /** Name of the stage in its folder, and in the random streams. */
  readonly name: string;
  readonly parents: readonly StoredStage[];
  /** Whether it trains adapters: the exported student has them merged, and its last checkpoint alone has them apart. */
  readonly trainsAdapters: boolean;
  /** The configuration that trains it alone, once its parents lie where `folderOf` says. */
  readonly configure: (folderOf: (parent: StoredStage) => string) => RunConfig;
}

export interface StoredStageOptions {
  /** In place of the root seed; parents keep that. */
  readonly seed?: number;
  /** In place of the stage's name: stages of one name and seed draw the same rows and numbers. Parents keep theirs. */
  readonly name?: string;
  /** What stands for a file or folder in the hash, its content for example; by default its path. */
  readonly fingerprint?: (source: string) => string;
}

/** Models that a stage takes, and the stages that make them. */
interface Taken {
  readonly config: RunConfig;
  readonly parents: ReadonlyMap<string, StoredStage>;
}

const parentOf = (reference: ModelReference | null): readonly string[] =>
  isStageReference(reference) ? [reference.stage] : [];

/** The exported student of an earlier stage as a model of its own. */
function exportedModel(
  { config, parents }: Taken,
  reference: ModelReference,
  asker: { readonly stage: string; readonly role: 'student' | 'teacher' },
  folderOf: (parent: StoredStage) => string,
): ModelReference {
  if (!isStageReference(reference)) return reference;
  const parent = present(parents.get(reference.stage), `stage ${reference.stage} in a checked configuration`);
  const { origin: _origin, seed: _seed, ...settings } = planModel(config, reference, asker);
  return { ...settings, source: folderOf(parent), seed: null };
}

const pick = <Value>(all: Readonly<Record<string, Value>>, names: Iterable<string>): Record<string, Value> =>
  Object.fromEntries(
    [...new Set(names)].sort().flatMap((name) => (name in all ? [[name, all[name] as Value]] : [])),
  );

const datasetsOf = ({ data, method }: StageConfig): readonly string[] => [
  data.train,
  ...evaluatedSets(data),
  ...Object.values(method.sources).flatMap((source) => (source.data === null ? [] : [source.data])),
];

const modelNamesOf = (stage: StageConfig): readonly string[] =>
  [stage.student, stage.teacher].filter((reference) => typeof reference === 'string');

/** A stage with another seed than its run's, on the responses that the run's teacher draws: those are data, drawn once. */
function withResponsesOf(seed: number, stage: StageConfig): StageConfig {
  const sources = Object.entries(stage.method.sources).map(([part, source]) => [
    part,
    keepsResponses(source) ? { ...source, responses_seed: source.responses_seed ?? seed } : source,
  ]);
  return { ...stage, method: { ...stage.method, sources: Object.fromEntries(sources) } };
}

/** A configuration of one stage, with nothing in it that the stage does not use. */
function alone(
  taken: Taken,
  stage: string,
  { name, seed }: { readonly name: string; readonly seed: number },
  folderOf: (parent: StoredStage) => string,
): RunConfig {
  const { config } = taken;
  const whole = present(config.stages[stage], `stage ${stage} in a checked configuration`);
  const own = (reference: ModelReference, role: 'student' | 'teacher') =>
    exportedModel(taken, reference, { stage, role }, folderOf);
  return {
    ...config,
    name,
    seed,
    max_hours: null,
    tracking: { wandb: null },
    data: pick(config.data, datasetsOf(whole)),
    models: pick(config.models, modelNamesOf(whole)),
    stages: {
      [name]: {
        ...(seed === config.seed ? whole : withResponsesOf(config.seed, whole)),
        student: own(whole.student, 'student'),
        teacher: whole.teacher === null ? null : own(whole.teacher, 'teacher'),
      },
    },
  };
}

/** The configuration with every source by what `fingerprint` says of it: what is hashed, and never run. */
function byContent(config: RunConfig, fingerprint: (source: string) => string): RunConfig {
  const data = (dataset: DatasetConfig) => ({ ...dataset, source: fingerprint(dataset.source) });
  const model = (settings: ModelConfig) => ({ ...settings, source: fingerprint(settings.source) });
  const reference = (given: ModelReference): ModelReference =>
    typeof given === 'string' || isStageReference(given) ? given : model(given);
  const each = <Value>(all: Readonly<Record<string, Value>>, change: (value: Value) => Value) =>
    Object.fromEntries(Object.entries(all).map(([name, value]) => [name, change(value)]));
  return {
    ...config,
    data: each(config.data, data),
    models: each(config.models, model),
    stages: each(config.stages, (stage) => ({
      ...stage,
      student: reference(stage.student),
      teacher: stage.teacher === null ? null : reference(stage.teacher),
    })),
  };
}

/**
 * A stage of a checked configuration as something that can be kept and found again, with the stages it takes models
 * from.
 *
 * @throws RangeError when there is no such stage
 */
export function storedStage(config: RunConfig, stage: string, options: StoredStageOptions = {}): StoredStage {
  const whole = present(config.stages[stage], `stage ${stage} in the configuration`);
  const { fingerprint = (source) => source } = options;
  const names = [...parentOf(whole.student), ...parentOf(whole.teacher)];
  const parents = new Map(
    names.map((parent) => [parent, storedStage(config, parent, { fingerprint })] as const),
  );
  const identity = { name: options.name ?? stage, seed: options.seed ?? config.seed };
  const configure: StoredStage['configure'] = (folderOf) =>
    alone({ config, parents }, stage, identity, folderOf);
  const isParent = (source: string) => source.startsWith('stage:');
  const hashed = byContent(
    configure((parent) => `stage:${parent.hash}`),
    (source) => (isParent(source) ? source : fingerprint(source)),
  );
  const hash = configHash(hashed, STORE_FORMAT);
  const trainsAdapters = whole.training.lora !== null;
  return { hash, name: identity.name, parents: [...parents.values()], trainsAdapters, configure };
}
