import { describe, expect, test } from '@jest/globals';
import { planRun } from '../../../../ts/plan/run.js';
import { preflight, wasTried } from '../../../../ts/run/checks/preflight.js';
import { RunFolder } from '../../../../ts/run/folder/run_folder.js';
import { resolveRun } from '../../config/workspace.js';
import { ScriptedClient } from '../scripted_client.js';

const RUN = new RunFolder('/somewhere/run');

describe('preflight', () => {
  const outcomes = async (...overrides: readonly string[]) => {
    const resolved = resolveRun(...overrides);
    const client = new ScriptedClient({ train: 100, check: 3 });
    return { client, stages: await preflight(client, resolved.config, planRun(resolved), RUN, 'cpu') };
  };

  test('every stage is tried as it would start, earlier stages’ models untrained', async () => {
    const { client, stages } = await outcomes();
    expect(stages).toMatchObject([
      { stage: 'teacher', checks: [{}], skipped: null },
      { stage: 'student', checks: [{}], skipped: null },
    ]);
    const teacher = client.argsOf('load_role')[1];
    expect(teacher).toMatchObject({ role: 'teacher', model: { source: 'builtin:llama', init: 'random' } });
    expect(client.argsOf('preflight').map(({ rows }) => rows)).toEqual([
      Array.from({ length: 64 }, (_, row) => row),
      Array.from({ length: 64 }, (_, row) => row),
    ]);
  });

  test('a training set of fewer rows is tried with those', async () => {
    const { client } = await outcomes('stages.student.data.train=check');
    expect(client.argsOf('preflight')[1]?.rows).toEqual([0, 1, 2]);
  });

  test('the steps that the data make are known with it', async () => {
    const stages = (await outcomes('stages.student.training={steps: null, epochs: 2}')).stages;
    expect(stages.filter(wasTried).map(({ steps }) => steps)).toEqual([20, 25]);
    const resolved = resolveRun();
    const none = await preflight(
      new ScriptedClient({ train: 0 }),
      resolved.config,
      planRun(resolved),
      RUN,
      'cpu',
    );
    expect(none.filter(wasTried).map(({ steps }) => steps)).toEqual([null, null]);
    expect(none.filter(wasTried).map(({ memory }) => memory)).toEqual([null, null]);
  });

  test('the memory of every stage is predicted', async () => {
    const { client, stages } = await outcomes();
    expect(stages.filter(wasTried).map(({ memory }) => memory)).toEqual([
      { ...client.memory, fits: true, remedies: [] },
      { ...client.memory, fits: true, remedies: [] },
    ]);
  });

  test('layers of a pretrained model can be had before the run', async () => {
    const { client, stages } = await outcomes(
      'models.big={source: some/model, init: pretrained}',
      'stages.student.student={stage: teacher, init: layers, layers: [0, 2]}',
    );
    expect(stages[1]?.skipped).toBeNull();
    expect(client.argsOf('load_role')[2]?.model).toMatchObject({
      source: 'some/model',
      init: 'layers',
      layers: [0, 2],
    });
  });

  test('layers of a model that only an earlier stage makes cannot: that is said', async () => {
    const { client, stages } = await outcomes(
      'stages.student.student={stage: teacher, init: layers, layers: [1]}',
    );
    expect(stages[1]).toEqual({ stage: 'student', skipped: expect.stringContaining('layers') });
    expect(client.argsOf('preflight')).toHaveLength(1);
  });
});
