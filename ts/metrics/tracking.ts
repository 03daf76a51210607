import { summarise } from './aggregate.js';
import type { RunEvent } from './events.js';
import type { EvaluationRow } from './rows.js';
import { scalarsOf } from './tensorboard.js';

/** What a tracking service is told of a run that goes on; names of figures are those of TensorBoard. */
export type TrackingMessage =
  | {
      readonly kind: 'figures';
      readonly stage: string;
      readonly step: number;
      readonly values: Readonly<Record<string, number>>;
    }
  | { readonly kind: 'summary'; readonly values: Readonly<Record<string, number>> };

/** Means of a stage's final evaluation over decoding seeds, and their deviations. */
function summaryOf(rows: readonly EvaluationRow[]): Readonly<Record<string, number>> {
  const entries = summarise(rows).flatMap(({ stage, dataset, metric, decoding, mean, sd }) => {
    const name = `${stage}/${dataset}/${metric}/${decoding}`;
    return [[name, mean] as const, ...(sd === null ? [] : [[`${name}/sd`, sd] as const])];
  });
  return Object.fromEntries(entries);
}

/** Makes messages of a run's events: each row as it comes, and at a stage's end what it came to. */
export class Tracking {
  #final: EvaluationRow[] = [];

  messagesOf(event: RunEvent): readonly TrackingMessage[] {
    switch (event.kind) {
      case 'step':
      case 'evaluation':
        if (event.kind === 'evaluation' && event.final) this.#final.push(event);
        return [
          {
            kind: 'figures',
            stage: event.stage,
            step: event.step,
            values: Object.fromEntries(scalarsOf(event)),
          },
        ];
      case 'stage_finished': {
        const rows = this.#final;
        this.#final = [];
        return rows.length === 0 ? [] : [{ kind: 'summary', values: summaryOf(rows) }];
      }
      default:
        return [];
    }
  }
}
