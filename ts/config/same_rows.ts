import type { DatasetConfig } from './schema.js';

type Data = Readonly<Record<string, Pick<DatasetConfig, 'source' | 'split'>>>;

/** Whether two datasets have rows of one split of one source, under whatever names, and however many each takes. */
export const haveSameRows = (data: Data, one: string, other: string): boolean =>
  data[one]?.source === data[other]?.source && data[one]?.split === data[other]?.split;
