import type { Generator } from '../../../ts/common/random.js';

/** Two draws of a uniform make one of a standard normal (Box and Muller 1958). */
export function normal(draw: Generator): number {
  const [radius, angle] = [(draw() + 1) / 2 ** 32, draw() / 2 ** 32];
  return Math.sqrt(-2 * Math.log(radius)) * Math.cos(2 * Math.PI * angle);
}
