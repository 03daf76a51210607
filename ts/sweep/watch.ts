import type { RunEvent } from '../metrics/events.js';
import type { EvaluationRow } from '../metrics/rows.js';
import { isIntermediate, type Objective } from './objective.js';
import type { Study } from './study.js';

/** Why a run is stopped that is behind: the reason of the signal that stops it. */
export class Behind {
  constructor(readonly step: number) {}
}

/** Tells the search of a trial's evaluations during training, and stops it when the search says so. */
export class Watch {
  readonly #study: Study;
  readonly #number: number;
  readonly #objective: Objective;
  readonly #stop = new AbortController();
  #told: Promise<void> = Promise.resolve();

  constructor(study: Study, number: number, objective: Objective) {
    this.#study = study;
    this.#number = number;
    this.#objective = objective;
  }

  /** Aborted when the trial is behind. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** At which step the trial fell behind; null while it has not. */
  get behind(): number | null {
    return this.signal.reason instanceof Behind ? this.signal.reason.step : null;
  }

  readonly hear = (event: RunEvent | EvaluationRow): void => {
    if (event.kind !== 'evaluation' || !isIntermediate(this.#objective, event)) return;
    this.#told = this.#told.then(async () => {
      if (this.behind === null && (await this.#study.report(this.#number, event.step, event.mean)))
        this.#stop.abort(new Behind(event.step));
    });
    this.#told.catch(() => {}); // told by `settled`
  };

  /** Resolves once the search has answered everything. @throws what it failed with */
  settled(): Promise<void> {
    return this.#told;
  }
}
