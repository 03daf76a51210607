import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { RunEvent } from '../../../../ts/metrics/events.js';
import { readJournal } from '../../../../ts/metrics/journal.js';
import { type EvaluationRow, evaluationRowSchema, stepRowSchema } from '../../../../ts/metrics/rows.js';
import { planRun } from '../../../../ts/plan/run.js';
import { RunFolder } from '../../../../ts/run/folder/run_folder.js';
import { HeldTeacher } from '../../../../ts/run/loaded/held_teacher.js';
import { runStage, type StageContext } from '../../../../ts/run/stage/stage.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';
import { resolveRun } from '../../config/workspace.js';
import { ScriptedClient } from '../scripted_client.js';

/** Rows of the demo run's datasets: the validation set is smaller than a glance of 5 rows would need in full. */
const ROWS = { train: 100, check: 8, extra: 3 };

/** The AMMD stage `student` of the demo run with two test sets, in a run folder of its own. */
export class StageScene {
  readonly run = new RunFolder(temporaryFolder());
  readonly folder = this.run.stage('student');
  readonly events: RunEvent[] = [];
  readonly #overrides: readonly string[];

  /** @param overrides of the stage, for example `training.steps=4`. */
  constructor(...overrides: readonly string[]) {
    this.#overrides = [
      'data.extra={source: builtin:microtasks, split: seen}',
      'stages.student.data.test=[extra]',
      ...['training.steps=6', 'evaluation.samples=2', ...overrides].map((it) => `stages.student.${it}`),
    ];
  }

  /** Runs the stage; resolves with the error where there is one. */
  async go(client: ScriptedClient = this.client(), changes: Partial<StageContext> = {}): Promise<unknown> {
    const resolved = resolveRun(...this.#overrides);
    const stage = planRun(resolved).stages[1];
    if (stage === undefined) throw new Error('the demo run has two stages');
    const context: StageContext = {
      client,
      held: new HeldTeacher(),
      config: resolved.config,
      configHash: resolved.hash,
      run: this.run,
      emit: (event) => this.events.push(event),
      now: () => 0,
      signal: undefined,
      told: new Set(),
      onLoaded: () => {},
      ...changes,
    };
    return runStage(context, stage).then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  client(): ScriptedClient {
    return new ScriptedClient(ROWS);
  }

  get steps(): readonly number[] {
    return readJournal(this.folder.metrics, stepRowSchema).map(({ step }) => step);
  }

  get evaluations(): readonly EvaluationRow[] {
    return readJournal(this.folder.evaluations, evaluationRowSchema);
  }

  get checkpoints(): readonly number[] {
    return readdirSync(this.folder.checkpoints)
      .map((name) => Number(name.slice(5)))
      .sort((a, b) => a - b);
  }

  get notes(): readonly string[] {
    return this.events.flatMap((event) => (event.kind === 'note' ? [event.message] : []));
  }

  /** Everything the stage leaves that must not depend on interruptions. */
  outcome(): Readonly<Record<string, string | null>> {
    const { metrics, evaluations, samples, done, student } = this.folder;
    const files = [metrics, evaluations, samples, done, path.join(student, 'config.json')];
    return Object.fromEntries(
      files.map((file) => [path.basename(file), existsSync(file) ? readFileSync(file, 'utf8') : null]),
    );
  }
}
