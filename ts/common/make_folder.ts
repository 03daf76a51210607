import { mkdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { AmmdError, systemCodeOf } from './errors.js';

/** A folder that cannot be made; the file system's own error is the cause. */
export class FolderError extends AmmdError {
  readonly code = 'folder_not_made';

  constructor(folder: string, cause: Error) {
    super(`${folder} cannot be made: ${cause.message}`, {
      cause,
      hint: 'give a folder where one can be made',
    });
  }
}

const isFolder = (folder: string) => statSync(folder, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** One after the other: where that fails, Node's recursive way says ENOENT, whatever the reason. */
function makeEach(folder: string): void {
  if (isFolder(folder)) return;
  const above = path.dirname(folder);
  if (above !== folder) makeEach(above);
  try {
    mkdirSync(folder);
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST' || !isFolder(folder)) throw error; // or another process made it meanwhile
  }
}

/**
 * Makes a folder, and those above it that are missing; one that is there stays as it is.
 *
 * @throws FolderError that names the folder and why it cannot be made.
 */
export function makeFolder(folder: string): void {
  try {
    makeEach(path.resolve(folder));
  } catch (error) {
    throw systemCodeOf(error) === undefined ? error : new FolderError(folder, error as Error);
  }
}

/** Removes a folder that was begun in vain, where that can be: why it was in vain must not be lost over it. */
export function discardFolder(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch {
    // A mount point, or a disk that has become read-only.
  }
}
