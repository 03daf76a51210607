import { createHash } from 'node:crypto';

/** One field of a message, an operation or a named type, as written in `protocol.json`. */
export type FieldType =
  | { readonly type: 'bool' }
  | { readonly type: 'int'; readonly min?: number; readonly max?: number }
  | { readonly type: 'float'; readonly min?: number; readonly max?: number }
  /** Any MessagePack number, NaN and infinities included. */
  | { readonly type: 'number' }
  | { readonly type: 'string'; readonly max: number }
  | { readonly type: 'handle' }
  | { readonly type: 'error_code' }
  | { readonly type: 'enum'; readonly values: readonly string[] }
  | { readonly type: 'list'; readonly items: FieldType; readonly max?: number }
  | { readonly type: 'map'; readonly values: FieldType; readonly max: number }
  | { readonly type: 'ref'; readonly name: string }
  | { readonly type: 'tensor'; readonly dtype: string; readonly rank: number }
  /** Arguments of the operation that the message names; checked against that operation. */
  | { readonly type: 'args' }
  | { readonly type: 'result' };

export type Field = FieldType & { readonly optional?: boolean; readonly doc: string };
export type Fields = Readonly<Record<string, Field>>;

export interface Definition {
  readonly name: string;
  readonly version: number;
  readonly doc: string;
  readonly limits: Readonly<Record<string, { readonly value: number; readonly doc: string }>>;
  readonly errors: Readonly<Record<string, { readonly fatal: boolean; readonly doc: string }>>;
  readonly types: Readonly<Record<string, { readonly doc: string; readonly fields: Fields }>>;
  readonly messages: Readonly<
    Record<string, { readonly from: 'worker' | 'controller'; readonly doc: string; readonly fields: Fields }>
  >;
  readonly operations: Readonly<
    Record<
      string,
      { readonly mutating: boolean; readonly doc: string; readonly args: Fields; readonly result: Fields }
    >
  >;
}

/** Handles are named by the controller; the part before the slash is the scope (see README.md). */
export const HANDLE_PATTERN = '^(step:[0-9]{1,15}|buffer|session)/[A-Za-z0-9_.-]{1,96}$';

/** JSON with sorted keys and no spaces, so that layout and key order do not change the hash. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`;
  }
  return JSON.stringify(value);
}

/** Documentation does not change what goes over the wire, so it does not count. */
function withoutDocs(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDocs);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, item]) => !(key === 'doc' && typeof item === 'string'))
      .map(([key, item]) => [key, withoutDocs(item)]),
  );
}

/** SHA-256 by which controller and worker know that they were generated from one definition. */
export function definitionHash(definition: Definition): string {
  return createHash('sha256')
    .update(canonicalJson(withoutDocs(definition)))
    .digest('hex');
}

export function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export function pascalCase(name: string): string {
  const camel = camelCase(name);
  return camel.charAt(0).toUpperCase() + camel.slice(1);
}
