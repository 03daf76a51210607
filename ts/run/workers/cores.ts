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
