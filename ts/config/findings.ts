import type { ConfigIssue } from './errors.js';
import { suggestion } from './nearest.js';
import { locate, type Tree } from './tree.js';

export type Path = readonly (string | number)[];

/** Collects what checks find, with the place each finding was written at. */
export class Findings {
  readonly errors: ConfigIssue[] = [];
  readonly warnings: ConfigIssue[] = [];
  readonly #tree: Tree;

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  error(path: Path, message: string): void {
    this.errors.push(this.#issue(path, message));
  }

  warn(path: Path, message: string): void {
    this.warnings.push(this.#issue(path, message));
  }

  /** @returns whether `word` is known; otherwise says so, with the nearest known word */
  known(path: Path, what: string, word: string, words: readonly string[]): boolean {
    if (words.includes(word)) return true;
    this.error(path, `unknown ${what} "${word}"${suggestion(word, words)}`);
    return false;
  }

  #issue(path: Path, message: string): ConfigIssue {
    return { path: path.join('.'), message, at: locate(this.#tree, path) };
  }
}
