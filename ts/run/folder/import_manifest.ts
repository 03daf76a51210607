import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { sha256 } from '../../common/hash.js';

const importSchema = z.object({
  format: z.literal('ammd-import'),
  dataset: z.string(),
  splits: z.record(z.string(), z.object({ name: z.string() })),
});

/** What a run's manifest says of an imported file. */
export interface ImportFacts {
  /** Dataset of `ammd import`. */
  readonly import: string;
  /** Hash of the manifest beside the file, which says where its rows come from. */
  readonly import_manifest_sha256: string;
}

/** The import that wrote a data file; null where there is no manifest beside it, or none that knows the file. */
export function importOf(source: string): ImportFacts | null {
  const file = path.join(path.dirname(source), 'manifest.json');
  if (!path.isAbsolute(source) || !existsSync(file)) return null;
  const text = readFileSync(file, 'utf8');
  const parsed = importSchema.safeParse(parseJson(text));
  if (!parsed.success) return null;
  const names = Object.values(parsed.data.splits).map(({ name }) => name);
  if (!names.includes(path.basename(source))) return null;
  return { import: parsed.data.dataset, import_manifest_sha256: sha256(text) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
