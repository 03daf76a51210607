import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Definition } from './definition.js';
import { emitMarkdown } from './emit_markdown.js';
import { emitPython } from './emit_python.js';
import { emitRegistries } from './emit_registries.js';
import { emitTypeScript } from './emit_typescript.js';

// Runs as dist/protocol/generate.js; the repository root is two folders up.
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

const PROTOCOL = 'protocol/protocol.json';
const REGISTRIES = 'protocol/fixtures/registries.json';

const read = (file: string): unknown => JSON.parse(readFileSync(path.join(root, file), 'utf8'));

function main(check: boolean): number {
  const definition = read(PROTOCOL) as Definition;
  const outputs = [
    { file: 'ts/wire/protocol.gen.ts', from: PROTOCOL, text: emitTypeScript(definition) },
    { file: 'py_worker/protocol_gen.py', from: PROTOCOL, text: emitPython(definition) },
    { file: 'protocol/REFERENCE.md', from: PROTOCOL, text: emitMarkdown(definition) },
    { file: 'ts/config/registries.gen.ts', from: REGISTRIES, text: emitRegistries(read(REGISTRIES)) },
  ];
  const drifted = outputs.filter(({ file, text }) => {
    if (!check) writeFileSync(path.join(root, file), text);
    return (
      check && (!existsSync(path.join(root, file)) || readFileSync(path.join(root, file), 'utf8') !== text)
    );
  });
  for (const { file, from } of drifted) console.error(`${file} differs from ${from}; run 'npm run generate'`);
  return drifted.length === 0 ? 0 : 1;
}

process.exitCode = main(process.argv.includes('--check'));
