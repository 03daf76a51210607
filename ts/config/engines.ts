import { ENGINE_FACTS } from './registries.gen.js';

/** What an engine does that a config depends on. */
export interface EngineFacts {
  /** It may draw while the student trains. */
  readonly concurrent: boolean;
}

export type EngineName = keyof typeof ENGINE_FACTS;

/** Generation engines of the worker's registry, which a test over protocol/fixtures/registries.json holds this to. */
export const ENGINES: Readonly<Record<EngineName, EngineFacts>> = ENGINE_FACTS;

/** What a config may name: an engine, or the worker's choice among those that are no experiment. */
export const ENGINE_CHOICES = ['auto', ...(Object.keys(ENGINES) as readonly EngineName[])] as const;
