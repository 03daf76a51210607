import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { unusedGpu } from '../../../../ts/run/workers/unused_gpu.js';
import { temporaryFolder } from '../../bootstrap/temporary_folder.js';

const inherited = process.env.CUDA_VISIBLE_DEVICES;

afterEach(() => {
  if (inherited === undefined) delete process.env.CUDA_VISIBLE_DEVICES;
  else process.env.CUDA_VISIBLE_DEVICES = inherited;
});

function driver(): string {
  const file = join(temporaryFolder(), 'nvidiactl');
  writeFileSync(file, '');
  return file;
}

test('a driver and no GPU are told, with what to do', () => {
  delete process.env.CUDA_VISIBLE_DEVICES;
  expect(unusedGpu(['cpu'], driver())).toMatch(/PyTorch sees no GPU.*nvidia-smi.*AMMD_PYTHON_ENV/);
});

test('nothing is told where a GPU is seen, or there is no driver', () => {
  delete process.env.CUDA_VISIBLE_DEVICES;
  expect(unusedGpu(['cpu', 'cuda:0 NVIDIA H200'], driver())).toBeNull();
  expect(unusedGpu(['cpu'], '/no/such/driver')).toBeNull();
});

test.each(['', '-1', '-1,0', 'NoDevFiles'])('nor where the user hides them by %j', (shown) => {
  process.env.CUDA_VISIBLE_DEVICES = shown;
  expect(unusedGpu(['cpu'], driver())).toBeNull();
});
