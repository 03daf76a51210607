import path from 'node:path';
import { HeldTeacher } from '../../../ts/run/loaded/held_teacher.js';
import { WorkerPool } from '../../../ts/run/workers/pool.js';
import type { Session } from '../../../ts/run/workers/session.js';
import { temporaryFolder } from '../bootstrap/temporary_folder.js';
import { resolveRun } from '../config/workspace.js';
import { ScriptedClient } from '../run/scripted_client.js';

interface Machine {
  readonly devices?: readonly string[];
  /** GPUs that each worker sees. */
  readonly gpus?: readonly string[];
}

/** A pool whose workers are scripted; `clients` has every one that was started. */
export class ScriptedPool {
  readonly clients: ScriptedClient[] = [];
  closed = 0;
  readonly pool: WorkerPool;

  constructor(
    jobs = 1,
    prepare: (client: ScriptedClient, index: number) => void = () => {},
    { devices = ['cpu', 'cuda:1'], gpus = [] }: Machine = {},
  ) {
    this.pool = new WorkerPool({
      worker: resolveRun().config.worker,
      devices,
      jobs,
      logs: path.join(temporaryFolder(), 'logs'),
      open: async (settings): Promise<Session> => {
        const client = new ScriptedClient({ train: 100, check: 8 });
        prepare(client, this.clients.length);
        this.clients.push(client);
        return {
          client,
          settings,
          held: new HeldTeacher(),
          python: 'python',
          identity: { packages: {}, devices: ['cpu', ...gpus], device: settings.device, threads: 1 },
          version: '0',
          close: async () => {
            this.closed += 1;
          },
        };
      },
    });
  }
}
