/**
 * Colours of the page by name, for light and dark. Charts name them as CSS variables, so that one drawing serves
 * both; a chart that becomes a file of its own has the light ones written in.
 */
interface Shades {
  readonly light: string;
  readonly dark: string;
}

const NAMED: Readonly<Record<string, Shades>> = {
  paper: { light: '#fcfcfa', dark: '#17191c' },
  card: { light: '#ffffff', dark: '#1e2125' },
  ink: { light: '#22252a', dark: '#e4e5e3' },
  soft: { light: '#6b7079', dark: '#9a9fa7' },
  rule: { light: '#e3e4e0', dark: '#33373d' },
  accent: { light: '#0b6e6e', dark: '#6cc5bd' },
  mark: { light: '#eef5ee', dark: '#223029' },
};

/** Lines and bars of what is compared. */
const SERIES: readonly Shades[] = [
  { light: '#8a8f98', dark: '#9aa0aa' },
  { light: '#b98a2f', dark: '#d8ac55' },
  { light: '#3b7dd8', dark: '#6ea5f0' },
  { light: '#8e59c0', dark: '#b58ae0' },
  { light: '#d1495b', dark: '#ef7686' },
  { light: '#2a9d8f', dark: '#4fc3b3' },
  { light: '#e07b39', dark: '#f09a60' },
  { light: '#6f8f2f', dark: '#a6c25c' },
];

/** Parts of a step's time. */
const PHASE: readonly Shades[] = [
  { light: '#3b7dd8', dark: '#6ea5f0' },
  { light: '#9db4d3', dark: '#50647f' },
  { light: '#d9a441', dark: '#d8ac55' },
  { light: '#e8cf9a', dark: '#7d6a40' },
  { light: '#8e59c0', dark: '#b58ae0' },
  { light: '#2a9d8f', dark: '#4fc3b3' },
  { light: '#9fd0c9', dark: '#35655f' },
  { light: '#d1495b', dark: '#ef7686' },
  { light: '#e6a5ad', dark: '#7d474f' },
  { light: '#c9ccd1', dark: '#565b63' },
];

/** From the worst to the best of an ordered set. */
const RANK: readonly Shades[] = [
  { light: '#cfd8dc', dark: '#39434a' },
  { light: '#a9c6cb', dark: '#3f5d63' },
  { light: '#72aab0', dark: '#46828a' },
  { light: '#2f868c', dark: '#57adb0' },
  { light: '#b3401f', dark: '#ff9a6b' },
];

const COLOURS: ReadonlyMap<string, Shades> = new Map([
  ...Object.entries(NAMED),
  ...[SERIES, PHASE, RANK].flatMap((shades, list) =>
    shades.map((shade, index): [string, Shades] => [`${['series', 'phase', 'rank'][list]}-${index}`, shade]),
  ),
]);

export const INK = 'var(--soft)';
export const RULE = 'var(--rule)';
export const RANKS = RANK.length;

/** The first colour, a grey, is for place 0 alone; the others come round again. */
export const seriesColour = (place: number): string =>
  `var(--series-${place === 0 ? 0 : 1 + ((place - 1) % (SERIES.length - 1))})`;
export const phaseColour = (index: number): string => `var(--phase-${index % PHASE.length})`;
export const rankColour = (rank: number): string => `var(--rank-${rank})`;

/** Colours come round again after a while; lines and bars of each further round look otherwise. */
export const roundOf = (place: number): number =>
  place === 0 ? 0 : Math.floor((place - 1) / (SERIES.length - 1));

/** Declarations of all colours for one scheme. */
export function declarations(scheme: keyof Shades): string {
  return [...COLOURS].map(([name, shades]) => `--${name}: ${shades[scheme]};`).join(' ');
}

/** A drawing with the light colours in place of their names. */
export function withLightColours(drawing: string): string {
  return drawing.replaceAll(/var\(--([a-z0-9-]+)\)/g, (name, key: string) => COLOURS.get(key)?.light ?? name);
}
