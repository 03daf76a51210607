import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/**
 * Cores that this process and its workers may use together: those of the machine, or fewer where a container has a share of
 * their time, which Node 20 does not look at.
 *
 * @param quota file of a control group: microseconds of every period, `max` for no limit, and the period.
 */
export function availableCores(quota = '/sys/fs/cgroup/cpu.max'): number {
  const cores = availableParallelism();
  try {
    const [most = Number.NaN, period = Number.NaN] = readFileSync(quota, 'utf8').split(' ').map(Number);
    return most > 0 && period > 0 ? Math.max(1, Math.min(cores, Math.floor(most / period))) : cores;
  } catch {
    return cores; // Another system, or no limit.
  }
}

/**
 * Threads for a worker that has the machine to itself: as many as are asked for; else, in a container with a share of the
 * cores' time, that share, since torch counts the machine's cores; else 0, which leaves it to torch.
 *
 * @param threads what the configuration says; 0 asks for nothing, and then `OMP_NUM_THREADS` is heard.
 */
export function threadsOfOne(threads: number, cores = availableCores()): number {
  const chosen = threads > 0 || process.env.OMP_NUM_THREADS !== undefined;
  return chosen || cores === availableParallelism() ? threads : cores;
}
