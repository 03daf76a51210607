import { EVALUATION } from '../dispatch/memory_request.js';
import { type StagePreflight, wasTried } from '../run/checks/preflight.js';
import {
  inWords,
  type MemoryForecast,
  type MemoryPhase,
  peakPhase,
  phaseBytes,
} from '../run/memory/forecast.js';

/** Items below this share of a phase are left out. */
const SMALLEST_SHARE = 0.005;

const words = (name: string) => name.replaceAll('_', ' ');

/** Phases that have no name of their own in a configuration. */
const PHASES: Readonly<Record<string, string>> = {
  critics: "the critics' turn",
  student: "the student's step",
  update: 'the update',
  checkpoint: 'a checkpoint',
};
const inPhase = ({ name }: MemoryPhase) => PHASES[name] ?? name;

function itemised({ items }: MemoryPhase, total: number): string {
  return Object.entries(items)
    .filter(([, bytes]) => bytes > SMALLEST_SHARE * total)
    .sort(([, one], [, other]) => other - one)
    .map(([name, bytes]) => `${words(name)} ${inWords(bytes)}`)
    .join(', ');
}

/** The phases with only the largest of the evaluations: test sets differ little. */
function withoutSmallerEvaluations(phases: readonly MemoryPhase[]): readonly MemoryPhase[] {
  const isEvaluation = ({ name }: MemoryPhase) => name.startsWith(EVALUATION);
  const largest = peakPhase({ phases: phases.filter(isEvaluation) });
  return phases.filter((phase) => phase === largest || !isEvaluation(phase));
}

/** What a stage will take, as lines for people: the phase that takes most with its items, and the other phases. */
export function memoryLines(forecast: MemoryForecast): readonly string[] {
  const { phases, peak_bytes, available_bytes, fits, missing, remedies } = forecast;
  const peak = peakPhase(forecast);
  if (peak === undefined) return [];
  const others = withoutSmallerEvaluations(phases)
    .filter((phase) => phase !== peak)
    .map((phase) => `${inPhase(phase)} ${inWords(phaseBytes(phase))}`);
  const bound = missing === undefined ? '' : ', at least';
  return [
    `${fits ? 'ok  ' : 'FAIL'} memory: ${inWords(peak_bytes)}${bound} of ${inWords(available_bytes)} available, in ${inPhase(peak)}`,
    `     ${itemised(peak, peak_bytes)}`,
    ...(others.length === 0 ? [] : [`     other phases: ${others.join(', ')}`]),
    ...(missing === undefined ? [] : [`     activations and logits are not in it: ${missing}`]),
    ...(fits || remedies.length === 0 ? [] : [`     to change first: ${remedies.join('; ')}`]),
  ];
}

/** What to do about the first stage that does not fit; undefined where all do. */
export function memoryHint(outcomes: readonly StagePreflight[]): string | undefined {
  const found = outcomes.filter(wasTried).find(({ memory }) => memory !== null && !memory.fits);
  if (found?.memory == null) return undefined;
  const { peak_bytes, available_bytes, remedies } = found.memory;
  const change = remedies.length === 0 ? 'take a machine with more' : `change ${remedies.join('; ')}`;
  return `stage ${found.stage} takes ${inWords(peak_bytes)} and ${inWords(available_bytes)} are available: ${change}`;
}
