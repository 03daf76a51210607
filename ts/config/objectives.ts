import { OBJECTIVE_FACTS } from './registries.gen.js';

/** What an objective of the worker needs. The mathematics is in the worker; this is what a config may say. */
export interface ObjectiveFacts {
  readonly teacher: boolean;
  readonly critic: boolean;
  /** The loss is about the token that follows, not about the state: no cost that a policy gradient could hand back. */
  readonly target: boolean;
  /** It has an estimate at the token drawn, whose mean over the student's tokens is the loss of the state. */
  readonly sampled: boolean;
  /** Its gradient has a formula; without one `worker.loss_form` is plain whatever it says. */
  readonly formula: boolean;
  /** Parameters with their values when not given. */
  readonly params: Readonly<Record<string, number>>;
  /** Least and greatest value of parameters that have them, both included. */
  readonly ranges: Readonly<Record<string, readonly [low: number, high: number]>>;
}

/** The worker's registry, which a test over protocol/fixtures/registries.json holds this to. */
export const OBJECTIVES: Readonly<Record<string, ObjectiveFacts>> = OBJECTIVE_FACTS;
