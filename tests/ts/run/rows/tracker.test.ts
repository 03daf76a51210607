import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { RunEvent } from '../../../../ts/metrics/events.js';
import { RunFolder } from '../../../../ts/run/folder/run_folder.js';
import { openTracker } from '../../../../ts/run/rows/tracker.js';
import type { LineProcess, LineProcessOptions } from '../../../../ts/worker/line_process.js';
import type { Exit } from '../../../../ts/worker/spawn.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';
import { resolveRun } from '../../config/workspace.js';
import { makeStep } from '../../metrics/make_rows.js';

const EXIT: Exit = { exitCode: 0, signal: undefined, startError: undefined };

/** A writer in memory. */
class FakeWriter implements LineProcess {
  readonly lines: string[] = [];
  started: LineProcessOptions | undefined;
  /** What `close` says: whether it ended in time. */
  inTime = true;
  end: (exit: Exit) => void = () => {};
  readonly exited = new Promise<Exit>((resolve) => {
    this.end = resolve;
  });

  readonly start = async (options: LineProcessOptions): Promise<LineProcess> => {
    this.started = options;
    return this;
  };

  get messages(): readonly Record<string, unknown>[] {
    return this.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  write(line: string): void {
    this.lines.push(line);
  }

  async close(): Promise<boolean> {
    this.end(EXIT);
    await this.exited;
    return this.inTime;
  }
}

let folder: RunFolder;
let notes: string[];
let writer: FakeWriter;
beforeEach(() => {
  folder = new RunFolder(temporaryFolder());
  notes = [];
  writer = new FakeWriter();
});

const open = (wandb: string) =>
  openTracker(folder, resolveRun(`tracking.wandb=${wandb}`), {
    python: '/env/bin/python',
    emit: (event: RunEvent) => {
      if (event.kind === 'note') notes.push(event.message);
    },
    start: writer.start,
  });

describe('a run that is tracked', () => {
  test('is begun with its configuration, hears of rows, and is ended', async () => {
    const tracker = await open('{project: distil, entity: team, tags: [a]}');
    const row = makeStep({ step: 2 });
    tracker.hear(row);
    tracker.hear({ kind: 'note', message: 'not a row' });
    await tracker.close(true);
    const [begin, figures, end, ...more] = writer.messages;
    expect(begin).toMatchObject({
      ...{ kind: 'begin', project: 'distil', entity: 'team', mode: 'online', tags: ['a'] },
      folder: folder.path,
      config: { name: 'demo', config_hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
    expect(figures).toMatchObject({ kind: 'figures', stage: row.stage, step: 2 });
    expect(end).toEqual({ kind: 'end' });
    expect(more).toEqual([]);
    expect(writer.started?.command).toEqual(['/env/bin/python', '-m', 'py_worker.metrics.wandb_writer']);
    expect(notes).toEqual([]);
  });

  test('that is stopped has no end, and goes on under its id', async () => {
    await (await open('{project: p}')).close(false);
    const [first, ...more] = writer.messages;
    expect(more).toEqual([]);
    writer = new FakeWriter();
    await open('{project: p}');
    expect(writer.messages[0]?.id).toBe(first?.id);
    expect(first?.id).toMatch(/^[0-9a-f]{16}$/);
  });

  test.each(['{', '{"wandb": {}}'])(
    'goes to a new one where its file is %s, which is noted',
    async (text) => {
      writeFileSync(folder.tracking, text);
      await open('{project: p}');
      expect(notes).toEqual([expect.stringMatching(/^W&B: .*tracking\.json names no run/)]);
      const { id } = writer.messages[0] ?? {};
      expect(id).toMatch(/^[0-9a-f]{16}$/);
      notes.length = 0;
      writer = new FakeWriter();
      await open('{project: p}');
      expect(writer.messages[0]?.id).toBe(id);
      expect(notes).toEqual([]);
    },
  );

  test('has its id before its writer is started', async () => {
    mkdirSync(folder.tracking);
    await expect(open('{project: p}')).rejects.toThrow();
    expect(writer.started).toBeUndefined();
  });

  test('offline says how to upload it', async () => {
    await (await open('{project: p, mode: offline}')).close(true);
    expect(notes).toEqual([
      expect.stringMatching(/^W&B: upload it with: .+ -m wandb sync .*offline-run-\*$/),
    ]);
  });

  test('goes on when its writer is gone, which is told once', async () => {
    const tracker = await open('{project: p}');
    writeFileSync(folder.trackingLog, 'Traceback\nUsageError: No API key configured.\n');
    writer.end({ ...EXIT, exitCode: 1 });
    await writer.exited;
    tracker.hear(makeStep({ step: 1 }));
    await tracker.close(true);
    expect(notes).toHaveLength(1);
    expect(notes[0]).toContain(
      'its writer ended (exit status 1), the run goes on without: UsageError: No API key',
    );
    expect(notes[0]).toContain('tracking.log');
  });

  test('does not wait for ever for an upload', async () => {
    writer.inTime = false;
    await (await open('{project: p}')).close(true);
    expect(notes).toEqual([expect.stringContaining('wandb sync')]);
  });
});

test('a run that is not tracked starts nothing and writes nothing', async () => {
  const tracker = await open('null');
  tracker.hear(makeStep({ step: 1 }));
  await tracker.close(true);
  expect(writer.started).toBeUndefined();
  expect(existsSync(folder.tracking)).toBe(false);
});
