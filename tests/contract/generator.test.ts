import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type Definition, definitionHash } from '../../protocol/definition.js';
import { emitMarkdown } from '../../protocol/emit_markdown.js';
import { emitPython } from '../../protocol/emit_python.js';
import { emitTypeScript } from '../../protocol/emit_typescript.js';
import { PROTOCOL_HASH, PROTOCOL_VERSION } from '../../ts/wire/protocol.gen.js';
import { temporaryFolder } from '../ts/bootstrap/temporary_folder.js';

const definition = JSON.parse(readFileSync('protocol/protocol.json', 'utf8')) as Definition;
const REFERENCES = /\[([A-Za-z]+)\]\(#/g;

describe('generated files', () => {
  test.each([
    ['ts/wire/protocol.gen.ts', emitTypeScript],
    ['py_worker/protocol_gen.py', emitPython],
    ['protocol/REFERENCE.md', emitMarkdown],
  ])('%s is what the definition says; otherwise: npm run generate', (file, emit) => {
    expect(readFileSync(file, 'utf8')).toBe(emit(definition));
  });

  test('a change of the definition changes all of them', () => {
    const limits = { ...definition.limits, heartbeat_ms: { value: 1234, doc: 'Changed.' } };
    for (const emit of [emitTypeScript, emitPython, emitMarkdown]) {
      expect(emit({ ...definition, limits })).toContain('1234');
    }
  });
});

test('npm run generate works where what was generated does not compile', () => {
  const folder = temporaryFolder({ 'ts/wire/protocol.gen.ts': 'export const broken: number = "text";' });
  mkdirSync(join(folder, 'py_worker'));
  for (const name of ['package.json', 'tsconfig.json', 'protocol', 'configs', 'ts/common', 'ts/config'])
    cpSync(name, join(folder, name), { recursive: true });
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'configs/REFERENCE.md'), 'old');
  execFileSync('npm', ['run', 'generate'], { cwd: folder, stdio: 'pipe' });
  for (const file of ['ts/wire/protocol.gen.ts', 'configs/REFERENCE.md'])
    expect(readFileSync(join(folder, file), 'utf8')).toBe(readFileSync(file, 'utf8'));
});

describe('definitionHash', () => {
  test('is in the generated code', () => {
    expect(definitionHash(definition)).toBe(PROTOCOL_HASH);
    expect(definition.version).toBe(PROTOCOL_VERSION);
  });

  test('does not change with texts, order or layout', () => {
    const errors = Object.entries(definition.errors).map(([code, error]) => [
      code,
      { ...error, doc: 'Other.' },
    ]);
    const reordered = Object.fromEntries(
      Object.entries({ ...definition, errors: Object.fromEntries(errors) }).reverse(),
    );
    expect(definitionHash(reordered as unknown as Definition)).toBe(PROTOCOL_HASH);
  });

  test('changes with anything that goes over the wire', () => {
    const limits = { ...definition.limits, max_depth: { value: 17, doc: '' } };
    expect(definitionHash({ ...definition, limits })).not.toBe(PROTOCOL_HASH);
    expect(definitionHash({ ...definition, version: 2 })).not.toBe(PROTOCOL_HASH);
  });
});

describe('the definition', () => {
  test('refers only to types it has, and in an order that needs no forward reference', () => {
    const defined = new Set<string>();
    for (const [name, type] of Object.entries(definition.types)) {
      for (const [, used] of emitMarkdown({
        ...definition,
        messages: {},
        operations: {},
        types: { [name]: type },
      }).matchAll(REFERENCES)) {
        expect(defined).toContain(used);
      }
      defined.add(name);
    }
    for (const [, used] of emitMarkdown(definition).matchAll(REFERENCES)) expect(defined).toContain(used);
  });

  test('names its errors, operations and fields in snake_case, and explains each', () => {
    const groups = [definition.errors, definition.operations, definition.messages, definition.limits];
    for (const [name, entry] of groups.flatMap((group) => Object.entries(group))) {
      expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
      expect(entry.doc.length).toBeGreaterThan(5);
    }
  });
});

test('the page for authors of workers names every message, and its limits and codes exist', () => {
  const page = readFileSync('protocol/README.md', 'utf8');
  for (const message of Object.keys(definition.messages)) expect(page).toContain(message);
  const words = new Set([...page.matchAll(/`([a-z]+(?:_[a-z]+)+)`/g)].map(([, word]) => word));
  const reference = emitMarkdown(definition);
  for (const word of words) expect(reference).toContain(word);
});
