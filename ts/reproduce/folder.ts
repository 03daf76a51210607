import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../common/atomic_file.js';
import { makeFolder } from '../common/make_folder.js';
import { EvaluationStore } from '../store/evaluation_store.js';
import { StageStore } from '../store/stage_store.js';
import { ReproduceError } from './errors.js';

const aboutSchema = z.object({ format: z.literal(1), profile: z.string() });

/** Whose a folder is; null where its file does not tell. */
function readAbout(file: string): string | null {
  try {
    return aboutSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).profile;
  } catch {
    return null;
  }
}

/** Where a profile's tables, and the stages that they share, lie. */
export class ReproductionFolder {
  readonly path: string;
  readonly stages: StageStore;
  readonly evaluations: EvaluationStore;

  constructor(folder: string, fingerprint: (source: string) => string) {
    this.path = path.resolve(folder);
    this.stages = new StageStore(path.join(this.path, 'stages'));
    this.evaluations = new EvaluationStore(path.join(this.path, 'evaluations'), this.stages, fingerprint);
  }

  get lock(): string {
    return path.join(this.path, 'lock');
  }

  /** Logs of the workers. */
  get workers(): string {
    return path.join(this.path, 'workers');
  }

  table(name: string): string {
    return path.join(this.path, name);
  }

  /**
   * Makes the folder, or finds it made for the same profile.
   *
   * @throws ReproduceError `reproduction_other` when it is another profile's, or something else lies there
   */
  claim(profile: string): void {
    const file = path.join(this.path, 'reproduction.json');
    if (existsSync(this.path) && readdirSync(this.path).length > 0 && !existsSync(file))
      throw new ReproduceError('reproduction_other', `${this.path} exists and holds no reproduction`, {
        hint: 'give another folder as --out',
      });
    if (!existsSync(file)) {
      makeFolder(this.path);
      writeJsonAtomic(file, { format: 1, profile });
      return;
    }
    const about = readAbout(file);
    if (about === profile) return;
    const whose =
      about === null ? 'is damaged, or was made by another version' : `is of the profile ${about}`;
    throw new ReproduceError('reproduction_other', `${this.path} ${whose}`, {
      hint: 'give another folder as --out',
    });
  }
}
