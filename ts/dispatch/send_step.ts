import type { StepPlan } from '../schedule/types.js';
import type { OperationName } from '../wire/protocol.gen.js';
import type { Reply, WorkerClient } from './client.js';
import { type OperationRequest, stepRequests } from './step_requests.js';

export type AnyReply = { [Name in OperationName]: Reply<Name> }[OperationName];

/** A request and its reply share the operation's name, which the compiler cannot see through the union. */
function send(client: WorkerClient, request: OperationRequest): Promise<AnyReply> {
  return client.call(request.op, request.args) as Promise<AnyReply>;
}

/**
 * Sends all requests of a step at once and resolves with their replies, in order.
 *
 * @throws the first failure of the step, or of an earlier one of the same epoch.
 */
export function sendStep(client: WorkerClient, plan: StepPlan): Promise<readonly AnyReply[]> {
  return Promise.all(stepRequests(plan).map((request) => send(client, request)));
}
