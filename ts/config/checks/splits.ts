import { evaluatedSets } from '../evaluated.js';
import type { Findings } from '../findings.js';
import type { DatasetConfig, RunConfig, StageConfig } from '../schema.js';

/** What a dataset reads: a split of its source, or the part of one that the split by seed makes. */
interface Side {
  readonly whole: string;
  readonly part: 'all' | 'train' | 'validation';
}

/** As the worker reads it: of a divided split `NAME/train` and `NAME/validation`, whose NAME is `train` where it is left out. */
function sideOf({ split, validation_fraction }: DatasetConfig): Side {
  const slash = split.lastIndexOf('/');
  if (validation_fraction === 0 && slash < 0) return { whole: split, part: 'all' };
  const whole = slash > 0 ? split.slice(0, slash) : 'train';
  if (validation_fraction === 0) return { whole, part: 'all' };
  return { whole, part: split.slice(slash + 1) === 'validation' ? 'validation' : 'train' };
}

/** The key by which rows that `validation` keeps apart are in `train` too; undefined where none is. */
function leak(train: DatasetConfig, validation: DatasetConfig): 'validation_fraction' | 'seed' | undefined {
  const [trained, kept] = [sideOf(train), sideOf(validation)];
  if (kept.part !== 'validation' || trained.part === 'validation') return undefined;
  if (train.source !== validation.source || trained.whole !== kept.whole) return undefined;
  // The split goes by a number for each question: those below the fraction are for validation.
  if (train.validation_fraction < validation.validation_fraction) return 'validation_fraction';
  return train.seed === validation.seed ? undefined : 'seed';
}

const trainedSets = ({ data, method }: StageConfig): readonly string[] => [
  ...new Set(Object.values(method.sources).map((source) => source.data ?? data.train)),
];

/** Tells where a stage trains on rows that another dataset of it keeps for validation. */
export function checkSplits({ data, stages }: RunConfig, findings: Findings): void {
  const told = new Set<string>();
  for (const stage of Object.values(stages)) {
    for (const trained of trainedSets(stage)) {
      for (const kept of evaluatedSets(stage.data)) {
        const [train, validation] = [data[trained], data[kept]];
        if (train === undefined || validation === undefined) continue;
        const key = leak(train, validation);
        if (key === undefined || told.has(`${trained}/${kept}`)) continue;
        told.add(`${trained}/${kept}`);
        findings.warn(
          ['data', trained, key],
          `rows of "${kept}" are trained on: it divides the same source with ${key} ${validation[key]}, and this has ` +
            `${train[key]}; give both the same validation_fraction and seed`,
        );
      }
    }
  }
}
