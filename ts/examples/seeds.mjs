// Trains a configuration at several seeds and prints a JSON row for each final figure. A run that diverges is left.
//
//   node seeds.mjs quickstart 0 1 2
//   node seeds.mjs my-run.yaml 0 1 2 | jq -c 'select(.decoding == "greedy")'
//
// After `npm install ammd` and `npx ammd setup`. Copy it, and change what you like.

import { AmmdError, resolveConfig, run } from 'ammd';

const [config, ...seeds] = process.argv.slice(2);
if (config === undefined || seeds.length === 0) throw new Error('usage: node seeds.mjs CONFIG SEED…');

/** @param {Readonly<Record<string, unknown>>} row */
const print = (row) => console.log(JSON.stringify(row));

for (const seed of seeds) {
  try {
    const resolved = resolveConfig(config, [`seed=${seed}`]);
    for await (const event of run(resolved, { out: `runs/${resolved.config.name}-seed-${seed}` })) {
      if (event.kind === 'evaluation' && event.final) {
        const { stage, dataset, metric, decoding, mean } = event;
        print({ seed, stage, dataset, metric, decoding, mean });
      } else if (event.kind === 'step' && event.metrics.loss === null) {
        print({ seed, stage: event.stage, diverged: event.step });
        break; // the run stops after its step, with a checkpoint
      }
    }
  } catch (error) {
    if (!(error instanceof AmmdError)) throw error;
    print({ seed, error: error.code, message: error.message });
    process.exitCode = 1;
  }
}
