import { describe, expect, test } from '@jest/globals';
import type { Chart } from '../../../../ts/report/charts/chart.js';
import { chartSvg, pngRenderer } from '../../../../ts/report/charts/chart_file.js';
import { curveChart } from '../../../../ts/report/charts/curve_chart.js';
import { count, outsideParts } from '../page_checks.js';

const series = Array.from({ length: 12 }, (_, place) => ({
  name: `method number ${place} & <b>`,
  place,
  members: [],
}));
const point = (step: number, mean: number) => ({ step, mean, low: mean - 1, high: mean + 1 });
const chart: Chart = curveChart(
  {
    title: 'loss <of> all',
    lines: new Map(series.map(({ name, place }) => [name, [point(0, place), point(9, 1)]])),
  },
  series,
);

describe('a chart as SVG', () => {
  const svg = chartSvg(chart);

  test('stands alone: own colours, font, title and legend', () => {
    expect(svg).not.toContain('var(');
    expect(svg).not.toContain('inherit');
    expect(outsideParts(svg)).toEqual([]);
    expect(svg).toContain('>loss &lt;of&gt; all</text>');
    for (const { place } of series) expect(svg).toContain(`>method number ${place} &amp; &lt;b&gt;</text>`);
  });

  test('its legend breaks into lines within its width', () => {
    const places = [...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)">method/g)].map(([, x, y]) => [
      Number(x),
      Number(y),
    ]);
    expect(new Set(places.map(([, y]) => y)).size).toBeGreaterThan(2);
    for (const [x = 0] of places)
      expect(x + 6 * 'method number 10 & <b>'.length).toBeLessThan(chart.width + 24);
    const height = Number(/height="(\d+)"/.exec(svg)?.[1]);
    expect(height).toBeGreaterThan(chart.height + 18 * 4);
  });

  test('lines of a second round of colours are dashed, in drawing and legend', () => {
    expect(count(svg, 'stroke-dasharray="6 3"')).toBe(4);
    expect(count(svg, /stroke-dasharray="6,3"/)).toBe(4);
  });
});

/** Undefined on a machine without a font, of which the error must say so. */
function rendererHere(): ((svg: string) => Buffer) | undefined {
  try {
    return pngRenderer();
  } catch (error) {
    expect(error).toMatchObject({ code: 'report_figures', hint: expect.stringContaining('--figures svg') });
    return undefined;
  }
}

const renderer = rendererHere();
(renderer === undefined ? describe.skip : describe)('a chart as PNG', () => {
  const toPng = renderer ?? Buffer.from;
  const sizeOf = (png: Buffer): number[] => [png.readUInt32BE(16), png.readUInt32BE(20)];

  test('is an image of three times its size', () => {
    const svg = chartSvg(chart);
    const png = toPng(svg);
    expect(png.subarray(1, 4).toString()).toBe('PNG');
    const [width, height] = ['width', 'height'].map((name) =>
      Number(new RegExp(`${name}="([\\d.]+)"`).exec(svg)?.[1]),
    );
    expect(sizeOf(png)).toEqual([3 * (width ?? 0), 3 * (height ?? 0)].map(Math.round));
  });

  test('has its text', () => {
    const svg = chartSvg(chart);
    const bare = svg.replaceAll(/<text[\s\S]*?<\/text>/g, '');
    expect(toPng(svg).equals(toPng(bare))).toBe(false);
  });
});
