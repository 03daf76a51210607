import { canonicalJson } from '../../common/hash.js';
import type { OperationArgs } from '../../wire/protocol.gen.js';
import type { LoadedRole } from './loaded_stage.js';

/**
 * The teacher that a worker has loaded. The next stage with the same one, of this run or of another on the same
 * worker, keeps it: loading a large one takes longer than many a stage. A model's folder is taken for what was in it.
 */
export class HeldTeacher {
  #held: { readonly key: string; readonly loaded: LoadedRole } | null = null;

  /** What was said when this very teacher was loaded; null where another is there, or none. */
  find(wanted: OperationArgs<'load_role'> | null): LoadedRole | null {
    return wanted !== null && this.#held?.key === canonicalJson(wanted) ? this.#held.loaded : null;
  }

  /** Said before a request that may fail on the way; until `hold`, nobody relies on what is loaded. */
  forget(): void {
    this.#held = null;
  }

  hold(wanted: OperationArgs<'load_role'>, loaded: LoadedRole): void {
    this.#held = { key: canonicalJson(wanted), loaded };
  }
}
