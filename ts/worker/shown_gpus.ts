/** What a worker's process is shown of a machine's GPUs, and by which name it is to use what it is shown. */
export interface ShownGpus {
  readonly environment: Readonly<Record<string, string>>;
  readonly device: string;
}

/**
 * A worker for `cuda:N` is shown that GPU alone, as its first: whatever names no device would take memory of the
 * machine's first GPU, and a process sees one slice of a partitioned one (MIG) at most. One for `cpu` is shown none. Where
 * there is no such GPU the worker is shown what this process is, and says how many those are.
 *
 * @param inherited `CUDA_VISIBLE_DEVICES`: numbers or names, of which `cuda:N` is the N-th.
 */
export function shownGpus(device: string, inherited = process.env.CUDA_VISIBLE_DEVICES): ShownGpus {
  if (device === 'cpu') return { environment: { CUDA_VISIBLE_DEVICES: '' }, device };
  const index = /^cuda:(\d+)$/.exec(device)?.[1];
  if (index === undefined) return { environment: {}, device };
  const shown = inherited === undefined ? index : inherited.split(',')[Number(index)]?.trim();
  if (!shown) return { environment: {}, device };
  return { environment: { CUDA_VISIBLE_DEVICES: shown }, device: 'cuda:0' };
}
