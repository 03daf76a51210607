import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { MessageLogEntry } from '../../ts/dispatch/client.js';
import { isAlive, outcomeOf, startCommand, TINY, trace, until, workersOf } from './tiny_run.js';

type Victim = 'worker' | 'controller' | 'group';
type Moment = (entry: MessageLogEntry) => boolean;

const sent = (op: string, nth: number): Moment => {
  let seen = 0;
  return (entry) => entry.direction === 'sent' && entry.op === op && ++seen === nth;
};
const answered = (op: string, nth: number): Moment => {
  let seen = 0;
  return (entry) => entry.direction === 'received' && entry.op === op && ++seen === nth;
};

/** A moment of the stage that follows: the run ended one stage with an export before it. */
const inNextStage = (moment: Moment): Moment => {
  const exported = answered('export', 1);
  let begun = false;
  return (entry) => {
    if (begun) return moment(entry);
    begun = exported(entry);
    return false;
  };
};

/** Every phase of a stage, for both victims, and what `timeout` does: SIGTERM to their group. The checkpoint's manifest is renamed right after the commit's reply. */
const KILLS: readonly { readonly phase: string; readonly victim: Victim; readonly moment: () => Moment }[] = [
  { phase: 'loading', victim: 'worker', moment: () => sent('load_role', 1) },
  { phase: 'student', victim: 'controller', moment: () => sent('step_student', 3) },
  { phase: 'student', victim: 'group', moment: () => sent('step_student', 2) },
  { phase: 'evaluation', victim: 'worker', moment: () => sent('evaluate', 1) },
  { phase: 'checkpoint rename', victim: 'controller', moment: () => answered('commit_checkpoint', 1) },
  { phase: 'ordering', victim: 'controller', moment: () => sent('measure', 2) },
  { phase: 'generation', victim: 'worker', moment: () => sent('generate', 1) },
  { phase: 'critic', victim: 'controller', moment: () => sent('step_critic', 5) },
  { phase: 'checkpoint', victim: 'worker', moment: () => sent('stage_checkpoint', 2) },
  { phase: 'evaluation', victim: 'controller', moment: () => sent('evaluate', 2) },
  { phase: 'replay', victim: 'worker', moment: () => inNextStage(sent('step_student', 9)) },
  { phase: 'replay', victim: 'controller', moment: () => sent('build', 4) },
];

const STAGES = ['teacher', 'ammd', 'replay'];
/** Half of the buffer's rollouts are old ones, and the chance of student responses moves with the validation loss. */
const REPLAY = `{
  student: small, teacher: {stage: teacher},
  method: {extends: distillm-srkl, sources: {mix: {
    probability: {from: 0.7, tolerance: 0}, replay: {capacity: 24, fresh: 0.3}}}},
  training: {steps: 16}, evaluation: {measure: [cross_entropy]}}`.replaceAll(/\s+/g, ' ');
// Long enough that every moment is still to come, however far a run got before it was killed.
const LONGER = ['--set', 'stages.ammd.training={steps: 16, order: gap}', '--set', `stages.replay=${REPLAY}`];
const folder = mkdtempSync(path.join(tmpdir(), 'ammd-kill-'));
const undisturbed = path.join(folder, 'undisturbed');
const disturbed = path.join(folder, 'disturbed');

beforeAll(async () => {
  const { exit, stderr } = startCommand(['train', TINY, ...LONGER, '--out', undisturbed, '--json']);
  const { code } = await exit;
  expect(`${code} ${stderr()}`).toMatch(/^0 /);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Starts or continues the run, kills the victim at the moment, and checks what the survivor does. */
async function disturb(
  victim: Victim,
  moment: Moment,
  traceFile: string,
): Promise<{ readonly said: string; readonly afterMs: number }> {
  const args = ['--json', '--trace', traceFile];
  const controller = startCommand(
    existsSync(disturbed)
      ? ['resume', disturbed, ...args]
      : ['train', TINY, ...LONGER, '--out', disturbed, ...args],
    { detached: victim === 'group' },
  );
  const pid = controller.process.pid ?? 0;
  let read = trace(traceFile).length;
  let done = false;
  void controller.exit.then(() => {
    done = true;
  });
  await until(() => {
    const entries = trace(traceFile);
    const hit = entries.slice(read).some(moment);
    read = entries.length;
    return hit || done;
  }, 'the moment to kill');
  if (done) throw new Error(`the run ended before the moment to kill came: ${controller.stderr()}`);
  const [worker] = workersOf(pid);
  if (worker === undefined) throw new Error('the controller has no worker');
  const started = Date.now();
  if (victim === 'group') {
    process.kill(-pid, 'SIGTERM');
    const { code } = await controller.exit;
    const said = controller.stderr();
    expect(`${code} ${said}`).toMatch(/^130 /);
    return { said, afterMs: Date.now() - started };
  }
  process.kill(victim === 'worker' ? worker : pid, 'SIGKILL');
  if (victim === 'worker') {
    const { code } = await controller.exit;
    const message = controller.stderr();
    expect(`${code} ${message}`).toMatch(/^3 .*SIGKILL/s);
    return { said: message, afterMs: Date.now() - started };
  }
  await until(() => !isAlive(worker), 'the worker to follow its controller', 10);
  const afterMs = Date.now() - started;
  const log = readFileSync(path.join(disturbed, 'worker.log'), 'utf8').trimEnd().split('\n');
  return { said: log.at(-1) ?? '', afterMs };
}

test('a run killed in every phase ends with the same rows and weights, bit for bit', async () => {
  const traceFile = path.join(folder, 'trace.jsonl');
  for (const { phase, victim, moment } of KILLS) {
    const { said, afterMs } = await disturb(victim, moment(), traceFile);
    // What a user sees: what was running, and how to go on.
    expect(said).toContain('ammd resume');
    const line = said.split('\n')[0];
    process.stdout.write(`ended the ${victim} during ${phase}; ${afterMs} ms later: ${line}\n`);
  }
  const last = startCommand(['resume', disturbed, '--json']);
  expect((await last.exit).code).toBe(0);
  for (const stage of STAGES) expect(outcomeOf(disturbed, stage)).toEqual(outcomeOf(undisturbed, stage));
  const replayed = outcomeOf(undisturbed, 'replay').metrics.map(
    ({ metrics }) => (metrics as Record<string, number>)['rollout/replayed'] ?? 0,
  );
  expect(Math.max(...replayed)).toBeGreaterThan(0);
});
