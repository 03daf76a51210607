/** What a worker's process is shown of a machine's GPUs, and how its names and the user's for them follow. */
export interface ShownGpus {
  readonly environment: Readonly<Record<string, string>>;
  /** The device by the worker's name. */
  readonly device: string;
  /** What the worker says of its device, `cuda:0 NAME`, by the user's name. */
  readonly byUser: (named: string) => string;
}

/**
 * A worker for `cuda:N` is shown that GPU alone, as its first: whatever names no device would take memory of the
 * machine's first GPU, and a process sees one slice of a partitioned one (MIG) at most. One for `cpu` is shown none.
 *
 * @param inherited `CUDA_VISIBLE_DEVICES`: numbers or names, of which `cuda:N` is the N-th; where it has none of that
 * number the worker is shown what this process is.
 */
export function shownGpus(device: string, inherited = process.env.CUDA_VISIBLE_DEVICES): ShownGpus {
  const same = (named: string) => named;
  if (device === 'cpu') return { environment: { CUDA_VISIBLE_DEVICES: '' }, device, byUser: same };
  const index = /^cuda:(\d+)$/.exec(device)?.[1];
  if (index === undefined) return { environment: {}, device, byUser: same };
  const shown = inherited === undefined ? index : inherited.split(',')[Number(index)]?.trim();
  if (!shown) return { environment: {}, device, byUser: same };
  const byUser = (named: string) => named.replace(/^cuda:0\b/, device);
  return { environment: { CUDA_VISIBLE_DEVICES: shown }, device: 'cuda:0', byUser };
}
