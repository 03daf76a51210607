/** A number with what it counts, whose plural ends in s: `1 stage`, `2 stages`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
