import { expect, test } from '@jest/globals';
import { roundOf, seriesColour } from '../../../../ts/report/charts/palette.js';

test('grey is for the first place alone; no two others look alike, for colours come round with another form', () => {
  const others = Array.from({ length: 20 }, (_, index) => index + 1);
  expect(seriesColour(0)).toBe('var(--series-0)');
  expect(others.map(seriesColour)).not.toContain('var(--series-0)');
  expect(seriesColour(8)).toBe(seriesColour(1));
  expect([roundOf(0), roundOf(7), roundOf(8), roundOf(15)]).toEqual([0, 0, 1, 2]);
  expect(new Set(others.map((place) => `${seriesColour(place)} ${roundOf(place)}`)).size).toBe(20);
});
