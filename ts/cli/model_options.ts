import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Argv } from 'yargs';
import { run as runSchema } from '../config/schema.js';
import { findModel, type ModelTarget, targetModel } from '../run/model_target.js';
import { openSession, type Session } from '../run/session.js';

/** Options of the commands that take one model: `eval` and `generate`. */
export interface ModelArguments {
  readonly model: string;
  readonly stage: string | undefined;
  readonly dtype: 'float32' | 'bfloat16' | 'float16';
  readonly device: string;
  readonly threads: number;
  readonly json: boolean;
}

export function modelOptions<T>(yargs: Argv<T>): Argv<T & ModelArguments> {
  return yargs
    .positional('model', {
      type: 'string',
      demandOption: true,
      describe: 'Run folder, model folder, hub name, gguf:PATH or package:MODULE/FILE.gguf',
    })
    .option('stage', { type: 'string', describe: 'Stage of the run; default its last finished one' })
    .option('dtype', {
      choices: ['float32', 'bfloat16', 'float16'] as const,
      default: 'float32' as const,
      describe: 'Dtype of the weights',
    })
    .option('device', { type: 'string', default: 'auto', describe: 'auto, cpu, cuda or cuda:N' })
    .option('threads', {
      type: 'number',
      default: 0,
      describe: 'Threads of tensor operations; 0 is automatic',
    })
    .option('json', { type: 'boolean', default: false, describe: 'JSON lines on stdout' });
}

/** Loads the model into a fresh worker, calls `use`, and stops the worker whatever happens. */
export async function withModel<Result>(
  args: ModelArguments,
  use: (session: Session, target: ModelTarget, scratch: string) => Promise<Result>,
): Promise<Result> {
  const target = findModel(args.model, args.stage);
  const scratch = mkdtempSync(path.join(tmpdir(), 'ammd-'));
  try {
    const settings = runSchema.shape.worker.parse({ device: args.device, threads: args.threads });
    const session = await openSession(settings, path.join(scratch, 'worker.log'));
    try {
      await session.client.call('load_role', {
        role: 'student',
        model: targetModel(target, args.dtype),
        gradient_checkpointing: false,
      });
      return await use(session, target, scratch);
    } finally {
      await session.close();
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
