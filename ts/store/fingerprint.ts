import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import path from 'node:path';

const CHUNK_BYTES = 4 * 2 ** 20;

function addFile(hash: Hash, file: string): void {
  const descriptor = openSync(file, 'r');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  try {
    for (let read = readSync(descriptor, chunk); read > 0; read = readSync(descriptor, chunk))
      hash.update(chunk.subarray(0, read));
  } finally {
    closeSync(descriptor);
  }
}

function addFolder(hash: Hash, folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    if (entry.name.startsWith('.')) continue;
    const inner = path.join(folder, entry.name);
    hash.update(`${entry.name}\0`);
    if (statSync(inner).isDirectory()) addFolder(hash, inner);
    else addFile(hash, inner);
  }
}

/**
 * Makes a function that gives a source of models or data by its content, `sha256:…`, where it is a file or folder, and
 * by its name where it is something else (built in, in a package, on the hub). A source is read once.
 */
export function contentFingerprint(): (source: string) => string {
  const known = new Map<string, string>();
  return (source) => {
    const found = known.get(source) ?? fingerprint(source);
    known.set(source, found);
    return found;
  };
}

function fingerprint(source: string): string {
  const file = source.startsWith('gguf:') ? source.slice('gguf:'.length) : source;
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return source;
  const hash = createHash('sha256');
  if (stat.isDirectory()) addFolder(hash, file);
  else addFile(hash, file);
  return `sha256:${hash.digest('hex')}`;
}
