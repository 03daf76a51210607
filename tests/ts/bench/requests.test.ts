import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { resolveConfig } from '../../../ts/config/resolve.js';
import type { WorkerClient } from '../../../ts/dispatch/client.js';
import { stepRequests } from '../../../ts/dispatch/step_requests.js';
import { planRun } from '../../../ts/plan/run.js';
import { withRows } from '../../../ts/plan/stage.js';
import { RunFolder } from '../../../ts/run/folder/run_folder.js';
import { configureWorker } from '../../../ts/run/workers/configure_worker.js';
import { loadStage } from '../../../ts/run/workers/load_stage.js';
import { advance, INITIAL_STATE } from '../../../ts/schedule/state.js';
import { planStep } from '../../../ts/schedule/step.js';

// What tests/bench/worker_client.py sends; UPDATE_FIXTURES=1 npm run jest -- tests/ts/bench writes it anew.
const FILE = path.resolve('tests/bench/requests.json');
const { config, hash } = resolveConfig(path.resolve('tests/bench/methods.yaml'), []);
const { stages } = planRun({ config, hash });

interface Sent {
  readonly op: string;
  readonly args: object;
}

/** What loading sends, through a client that only notes it. */
async function loadRequests(index: number): Promise<readonly Sent[]> {
  const sent: Sent[] = [];
  const client = {
    call: async (op: string, args: object) => {
      sent.push({ op, args });
      return { result: {} };
    },
  } as unknown as WorkerClient;
  const stage = stages[index];
  if (stage === undefined) throw new Error(`no stage ${index}`);
  await configureWorker(client, { ...config.worker, cache_dir: '/cache' });
  await loadStage(client, stage, config, new RunFolder('/run'));
  return sent.filter(({ op }) => op !== 'reset');
}

test('the benches send what the controller sends', async () => {
  const loads = await Promise.all(stages.map((_, index) => loadRequests(index)));
  // The second step, and what the first has drawn ahead for it.
  const steps = stages.map((stage) => {
    const sized = withRows(stage, { train: 512 });
    const first = stepRequests(planStep(sized, INITIAL_STATE));
    const ahead = first.filter(({ op, args }) => op === 'generate' && 'background' in args);
    return { ahead, step: stepRequests(planStep(sized, advance(sized, INITIAL_STATE))) };
  });
  const requests = Object.fromEntries(
    stages.map(({ name }, index) => [name, { load: loads[index], ...steps[index] }]),
  );
  const text = `${JSON.stringify(requests, null, 1)}\n`;
  if (process.env.UPDATE_FIXTURES) writeFileSync(FILE, text);
  expect(text).toBe(readFileSync(FILE, 'utf8'));
});
