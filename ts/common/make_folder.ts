import { mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { AmmdError, systemCodeOf } from './errors.js';

/** A folder that cannot be made; the file system's own error is the cause. */
export class FolderError extends AmmdError {
  constructor(folder: string, cause: Error) {
    super('folder_not_made', `${folder} cannot be made: ${cause.message}`, {
      cause,
      hint: 'give a folder on a disk that can be written to',
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
