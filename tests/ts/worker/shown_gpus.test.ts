import { expect, test } from '@jest/globals';
import { shownGpus } from '../../../ts/worker/shown_gpus.js';

const shown = (device: string, inherited?: string) => {
  const { environment, device: own } = shownGpus(device, inherited);
  return [environment.CUDA_VISIBLE_DEVICES, own];
};

test('a worker is shown its GPU alone, as the first', () => {
  expect(shown('cuda:3', undefined)).toEqual(['3', 'cuda:0']);
  expect(shown('cuda:0', undefined)).toEqual(['0', 'cuda:0']);
});

test('of the GPUs that the process itself is shown, by number or name', () => {
  expect(shown('cuda:1', '4,6')).toEqual(['6', 'cuda:0']);
  expect(shown('cuda:1', 'MIG-a, MIG-b')).toEqual(['MIG-b', 'cuda:0']);
});

test('where there is none of that number the worker says so', () => {
  expect(shown('cuda:2', '4,6')).toEqual([undefined, 'cuda:2']);
  expect(shown('cuda:0', '')).toEqual([undefined, 'cuda:0']);
});

test('what it says of its GPU is told by the name that the user has for it', () => {
  const { byUser } = shownGpus('cuda:3', undefined);
  expect(['cpu', 'cuda:0 H100', 'cuda:0'].map(byUser)).toEqual(['cpu', 'cuda:3 H100', 'cuda:3']);
  expect(shownGpus('auto', undefined).byUser('cuda:0 H100')).toBe('cuda:0 H100');
});

test('for a CPU it is shown none, and all where it is to choose', () => {
  expect(shown('cpu', '4,6')).toEqual(['', 'cpu']);
  expect(shown('auto', '4,6')).toEqual([undefined, 'auto']);
  expect(shown('cuda', '4,6')).toEqual([undefined, 'cuda']);
});
