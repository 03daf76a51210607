import { type Table, textTable } from '../../report/formats/table.js';
import type { PlannedResponses, PlannedStage, PlannedTable } from '../../reproduce/dry_run.js';
import type { Profile } from '../../reproduce/profile.js';

/** Dense bfloat16 of an H100 (NVIDIA's data sheet: 989 TFLOP/s) at 40 %, a usual share in training. */
const H100_FLOPS = 0.4 * 989e12;

const figure = (value: number): string => (value < 100 ? value.toPrecision(2) : String(Math.round(value)));

function petaflops({ cost }: PlannedStage): string {
  return cost.flops === null ? 'unknown' : figure(cost.flops / 1e15);
}

const sum = (values: readonly number[]): number => values.reduce((left, right) => left + right, 0);

/** Two reasons of many, and how many more. */
function reasons({ for: all }: Pick<PlannedStage, 'for'>): string {
  const shown = all.slice(0, 2).join(', ');
  return all.length > 2 ? `${shown} and ${all.length - 2} more` : shown;
}

function stageTable(stages: readonly PlannedStage[]): Table {
  return {
    title: 'Stages',
    columns: [
      { label: 'hash', align: 'left' },
      { label: 'stage', align: 'left' },
      { label: 'for', align: 'left' },
      { label: 'steps', align: 'right' },
      { label: 'tokens, at most', align: 'right' },
      { label: 'PFLOP', align: 'right' },
      { label: '', align: 'left' },
    ],
    rows: stages.map((stage) =>
      [
        stage.hash.slice(0, 16),
        stage.stage,
        reasons(stage),
        String(stage.cost.steps ?? 'unknown'),
        stage.cost.tokens?.toExponential(1) ?? 'unknown',
        petaflops(stage),
        stage.done ? 'done' : '',
      ].map((text) => ({ text })),
    ),
    note: '',
  };
}

const responsesLine = (responses: PlannedResponses): string =>
  `responses: each drawn once by ${responses.teacher} and kept, on ${responses.dataset} ` +
  `(${responses.rows === null ? '' : `${responses.rows} `}prompts), for ${reasons(responses)}`;

/** What `--dry-run` prints: every stage, what is left to do, and what is missing. */
export function plannedLines(profile: Profile, planned: PlannedTable): readonly string[] {
  const open = planned.stages.filter(({ done }) => !done);
  const known = open.flatMap(({ cost }) => (cost.flops === null ? [] : [cost.flops]));
  const unknown = open.length - known.length;
  const hours = sum(known) / H100_FLOPS / 3600;
  const { all, done } = planned.evaluations;
  return [
    textTable(stageTable(planned.stages)),
    `${planned.stages.length} stages, ${planned.stages.length - open.length} done; ${all} evaluations, ${done} done`,
    ...planned.responses.map(responsesLine),
    `left: ${figure(sum(known) / 1e15)} PFLOP${unknown > 0 ? ` and ${unknown} stages of unknown size` : ''}, ` +
      `${hours < 0.1 ? 'minutes' : `${figure(hours)} hours`} on an H100 at 40 % of its peak (an estimate from sizes alone; evaluation comes on top${planned.responses.length === 0 ? '' : ', and kept responses count for each student'})`,
    ...(profile.missing.length === 0
      ? ['files: all there']
      : ['files that are missing:', ...profile.missing.map(({ path, message }) => `  ${path}: ${message}`)]),
  ];
}
