import { expect, test } from '@jest/globals';
import { decodingsOf, describeDecoding } from '../../../ts/run/dataset_evaluation.js';

test('greedy comes first, then one decoding a seed', () => {
  const decodings = decodingsOf({ greedy: true, seeds: [10, 20] });
  expect(decodings.map(describeDecoding)).toEqual(['greedy', 'sampled, seed 10', 'sampled, seed 20']);
  expect(decodingsOf({ greedy: false, seeds: [10] })).toEqual([{ decoding: 'sampled', seed: 10 }]);
  expect(decodingsOf({ greedy: false, seeds: [] })).toEqual([]);
});
