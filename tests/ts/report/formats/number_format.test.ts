import { expect, test } from '@jest/globals';
import {
  formatCount,
  formatFigure,
  formatProbability,
  formatScore,
  formatSeconds,
  formatSigned,
} from '../../../../ts/report/formats/number_format.js';

test.each([
  [0, '0'],
  [0.000012345, '1.2e-5'],
  [0.00123456, '0.001235'],
  [-1.23456, '-1.235'],
  [84.39999, '84.4'],
  [1234.56, '1235'],
  [999_999, '999999'],
  [12_345_678, '1.2e+7'],
  [Number.NaN, 'NaN'],
  [Number.NEGATIVE_INFINITY, '-Infinity'],
])('figure %p', (value, text) => expect(formatFigure(value)).toBe(text));

test.each([
  [1.26, '+1.3'],
  [-0.31, '−0.3'],
  [0, '0.0'],
  [-0.04, '0.0'],
])('difference %p', (value, text) => expect(formatSigned(value, formatScore)).toBe(text));

test.each([
  [1, 'p = 1.000'],
  [0.0124, 'p = 0.012'],
  [0.001, 'p = 0.001'],
  [0.00099, 'p < 0.001'],
])('probability %p', (p, text) => expect(formatProbability(p)).toBe(text));

test.each([
  [0, '0 s'],
  [0.0423, '42 ms'],
  [59.4, '59 s'],
  [59.6, '1 min 00 s'],
  [185, '3 min 05 s'],
  [3599.7, '1 h 00 min'],
  [7629, '2 h 07 min'],
  [7199, '2 h 00 min'],
])('seconds %p', (value, text) => expect(formatSeconds(value)).toBe(text));

test.each([
  [0, '0'],
  [711.6, '712'],
  [4321, '4.3 k'],
  [999_949, '1000 k'],
  [999_960, '1.0 M'],
  [123_456_789, '123 M'],
])('count %p', (value, text) => expect(formatCount(value)).toBe(text));
