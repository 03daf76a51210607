/**
 * What all promises come to, in order. Where one fails the others are waited for all the same: what they use may be taken
 * away once this has ended.
 *
 * @throws what the first of them, in order, failed with.
 */
export async function allOf<Value>(promises: readonly Promise<Value>[]): Promise<readonly Value[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}
