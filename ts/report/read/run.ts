import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { journalRows, readJournal } from '../../metrics/journal.js';
import {
  type EvaluationRow,
  evaluationRowSchema,
  type SampleRow,
  sampleRowSchema,
  stepRowSchema,
} from '../../metrics/rows.js';
import { RUN_FILES, STAGE_FILES } from '../../metrics/run_files.js';
import { ReportError } from '../errors.js';
import { StepHistory } from './step_history.js';

export interface StageData {
  readonly name: string;
  /** Null when there is no config to tell it. */
  readonly method: string | null;
  /** Whether another stage learns from this one: such a stage is no competitor in the tables. */
  readonly teaches: boolean;
  /** Whether another stage starts from this one. */
  readonly begins: boolean;
  /** Dataset that checkpoints are chosen on. */
  readonly validation: string | null;
  /** Hash of the rows of each dataset by its name, as far as the manifest tells. */
  readonly contents?: Readonly<Record<string, string>>;
  readonly done: boolean;
  readonly steps: StepHistory;
  readonly evaluations: readonly EvaluationRow[];
  readonly samples: readonly SampleRow[];
}

/** The resolved configuration as written, what it says, and its hash. */
export interface RunConfiguration {
  readonly text: string;
  readonly value: ConfigNames;
  readonly sha256: string | null;
}

/** Everything a report is made from. A run that is not finished has less of it. */
export interface RunData {
  readonly name: string;
  readonly folder: string;
  readonly stages: readonly StageData[];
  readonly config: RunConfiguration | null;
  /** Content of `manifest.json`, whatever it has. */
  readonly manifest: unknown;
}

// A report needs only names of the configuration; the rest is shown as text.
const modelReference = z.union([z.looseObject({ stage: z.string() }), z.unknown()]);
const configNames = z.looseObject({
  name: z.string(),
  seed: z.number().optional(),
  stages: z.record(
    z.string(),
    z.looseObject({
      method: z.union([z.string(), z.looseObject({ name: z.string() })]),
      student: modelReference.optional(),
      teacher: modelReference.optional(),
      data: z.looseObject({ validation: z.string().nullish() }).optional(),
    }),
  ),
});
type ConfigNames = z.infer<typeof configNames>;

const manifestContents = z.looseObject({
  stages: z.record(
    z.string(),
    z.looseObject({ data: z.record(z.string(), z.looseObject({ content_hash: z.string() })) }),
  ),
});

/**
 * Reads a run folder, finished or not. Stages come in the order of the config.
 *
 * @throws {ReportError} there is no run, or its config or manifest is damaged
 * @throws {JournalError} a row is damaged; the message names file and line
 */
export function readRun(folder: string): RunData {
  const path = resolve(folder);
  const text = readIfThere(join(path, RUN_FILES.config));
  if (text === undefined && !existsSync(join(path, RUN_FILES.stages))) {
    throw new ReportError(
      'report_no_run',
      `${path} is no run folder: it has neither config.yaml nor stages/`,
      {
        hint: 'Give the folder that a run printed at its start, for example runs/quickstart-20260101-120000.',
      },
    );
  }
  const names = text === undefined ? undefined : readNames(join(path, RUN_FILES.config), text);
  const manifest = readManifest(join(path, RUN_FILES.manifest));
  return {
    name: names?.name ?? basename(path),
    folder: path,
    stages: stageNames(path, names).map((name) => ({
      ...readStage(path, name, names),
      contents: contentsOf(manifest, name),
    })),
    config:
      text === undefined || names === undefined
        ? null
        : { text, value: names, sha256: readIfThere(join(path, RUN_FILES.configHash))?.trim() ?? null },
    manifest,
  };
}

function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function readNames(path: string, text: string): ConfigNames {
  try {
    return configNames.parse(parse(text));
  } catch (cause) {
    throw new ReportError('report_file', `${path} is not the configuration of a run`, { cause });
  }
}

function readManifest(path: string): unknown {
  const text = readIfThere(path);
  try {
    return text === undefined ? null : JSON.parse(text);
  } catch (cause) {
    throw new ReportError('report_file', `${path} is not JSON`, { cause });
  }
}

function contentsOf(manifest: unknown, stage: string): Readonly<Record<string, string>> {
  const datasets = manifestContents.safeParse(manifest).data?.stages[stage]?.data ?? {};
  return Object.fromEntries(Object.entries(datasets).map(([name, facts]) => [name, facts.content_hash]));
}

function stageNames(path: string, names: ConfigNames | undefined): string[] {
  if (names !== undefined) return Object.keys(names.stages);
  return readdirSync(join(path, RUN_FILES.stages)).sort();
}

function readStage(path: string, name: string, names: ConfigNames | undefined): StageData {
  const folder = join(path, RUN_FILES.stages, name);
  const method = names?.stages[name]?.method;
  const others = Object.values(names?.stages ?? {});
  return {
    name,
    method: (typeof method === 'string' ? method : method?.name) ?? null,
    teaches: others.some(({ teacher }) => refersTo(teacher, name)),
    begins: others.some(({ student }) => refersTo(student, name)),
    validation: names?.stages[name]?.data?.validation ?? null,
    done: existsSync(join(folder, STAGE_FILES.done)),
    steps: new StepHistory(journalRows(join(folder, STAGE_FILES.metrics), stepRowSchema)),
    evaluations: readJournal(join(folder, STAGE_FILES.evaluations), evaluationRowSchema),
    samples: readJournal(join(folder, STAGE_FILES.samples), sampleRowSchema),
  };
}

function refersTo(model: unknown, stage: string): boolean {
  return typeof model === 'object' && model !== null && 'stage' in model && model.stage === stage;
}
