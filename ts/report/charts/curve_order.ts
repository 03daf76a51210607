interface Rule {
  readonly title: string;
  readonly note: string;
  readonly names: RegExp;
  /** The smallest decides where several rules fit: a critic's gradient norm is a norm. */
  readonly rank: number;
}

/** Where a metric's curve goes, by its name, in the order of the page. */
const GROUPS: readonly Rule[] = [
  {
    title: 'Losses',
    note: 'Each a mean per token of its own part of the batch, before its weight.',
    names: /^loss/,
    rank: 1,
  },
  {
    title: 'Moment matching',
    note: 'd: sum of moment gaps over a response, mean over responses. tightness: moment gap over its largest possible value, 1 for the perfect critic.',
    names: /(^|[_/])(d|gap|tightness|optimality|objective|value|saturated|critic)([_/]|$)/,
    rank: 2,
  },
  {
    title: 'Distance to the teacher',
    note: 'Per token, by part of the batch (off: dataset or teacher, on: drawn by the student), in nats; tv between 0 and 1.',
    names: /(^|[_/])(tv|tvd|kl|jsd|divergence)([_/]|$)/,
    rank: 4,
  },
  {
    title: 'Policy',
    note: 'Entropy in nats per token; length in tokens; eos: share of responses that ended by themselves. Falling length or eos is an alarm.',
    names: /(^|[_/])(entropy|length|eos|ended|rollout)([_/]|$)/,
    rank: 3,
  },
  {
    title: 'Gradients and schedules',
    note: 'Norms before clipping. schedule: where what changes with the steps stood. skipped: updates left out because a gradient was not finite; drawn where there were any. loss_scale: factor that keeps float16 gradients in range.',
    names: /(^|[_/])(grad|gradient|norm|lr|skipped|clip|loss_scale|schedule)([_/]|$)/,
    rank: 0,
  },
  // Nothing that was logged is missing from the page.
  { title: 'Other', note: '', names: /^/, rank: 9 },
];

/** Drawn only where it is not zero throughout. */
export const OPTIONAL_CURVES = /skipped$/;

/** The group of a metric's curve; `place` is that among the groups. */
export function curveGroupOf(name: string): Pick<Rule, 'title' | 'note'> & { readonly place: number } {
  const fitting = GROUPS.map((rule, place) => ({ ...rule, place })).filter(({ names }) => names.test(name));
  return fitting.reduce((left, right) => (right.rank < left.rank ? right : left));
}

/** What a reader looks for first; the rest follows by name. */
const LEADING = [
  'loss',
  'd',
  'tightness',
  'tv',
  'forward_kl',
  'reverse_kl',
  'student_entropy',
  'gradient_norm',
];

/** Curves of one quantity on several parts stand beside each other: critic/off/gap, critic/on/gap. */
export function inReadingOrder<Titled extends { readonly title: string }>(
  curves: readonly Titled[],
): Titled[] {
  const quantity = (title: string): string =>
    title.replaceAll(/(^|[/_])(critic|on|off)(?=[/_]|$)/g, '').replace(/^[/_]/, '');
  const place = (title: string): string => {
    const leading = LEADING.findIndex((name) => `${quantity(title)}_`.startsWith(`${name}_`));
    return `${leading < 0 ? LEADING.length : leading} ${quantity(title)} ${title}`;
  };
  return [...curves].sort((left, right) => (place(left.title) < place(right.title) ? -1 : 1));
}
