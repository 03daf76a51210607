import { describe, expect, test } from '@jest/globals';
import {
  forecastMemory,
  inWords,
  memoryWarning,
  peakPhase,
  phaseBytes,
} from '../../../../ts/run/memory/forecast.js';
import { resolveRun } from '../../config/workspace.js';
import { ammd } from '../../plan/plans.js';
import { ScriptedClient } from '../scripted_client.js';

const GIB = 2 ** 30;
const ABOUT = { worker: resolveRun().config.worker, device: 'cpu' };

function client(available: number): ScriptedClient {
  const scripted = new ScriptedClient();
  scripted.memory = {
    phases: [
      { name: 'scoring', items: { teacher: 2 * GIB } },
      { name: 'student', items: { student: GIB, activations: 2 * GIB } },
    ],
    peak_bytes: 3 * GIB,
    available_bytes: available,
  };
  return scripted;
}

describe('the memory of a stage', () => {
  test('fits exactly', async () => {
    const scripted = client(3 * GIB);
    const forecast = await forecastMemory(scripted, ammd(100), ABOUT);
    expect(forecast).toMatchObject({ fits: true, remedies: [], peak_bytes: 3 * GIB });
    expect(scripted.argsOf('predict_memory')).toEqual([expect.objectContaining({ rehearse: true })]);
  });

  test('does not fit: the largest item of the largest phase decides what to change first', async () => {
    const forecast = await forecastMemory(client(3 * GIB - 1), ammd(100), ABOUT);
    expect(forecast.fits).toBe(false);
    expect(forecast.remedies[0]).toMatch(/micro_batch/);
  });

  test('before a run there is a warning, from a lower bound', async () => {
    const scripted = client(GIB);
    expect(await memoryWarning(scripted, ammd(100))).toMatch(/more than 3.00 GiB .* 1.00 GiB .*ammd check/);
    expect(scripted.argsOf('predict_memory')[0]?.rehearse).toBe(false);
    expect(await memoryWarning(client(4 * GIB), ammd(100))).toBeNull();
  });

  test('phases and figures', () => {
    const { memory } = client(0);
    expect(memory.phases.map(phaseBytes)).toEqual([2 * GIB, 3 * GIB]);
    expect(peakPhase(memory)?.name).toBe('student');
    expect(peakPhase({ phases: [] })).toBeUndefined();
    expect([0.25, 1.234, 123.4].map((gib) => inWords(gib * GIB))).toEqual([
      '256 MiB',
      '1.23 GiB',
      '123.4 GiB',
    ]);
  });
});
