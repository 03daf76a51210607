import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Definition } from './definition.js';
import { emitMarkdown } from './emit_markdown.js';
import { emitPython } from './emit_python.js';
import { emitTypeScript } from './emit_typescript.js';

// Runs as dist/protocol/generate.js; the repository root is two folders up.
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

function main(check: boolean): number {
  const source = readFileSync(path.join(root, 'protocol/protocol.json'), 'utf8');
  const definition = JSON.parse(source) as Definition;
  const outputs = [
    { file: 'ts/wire/protocol.gen.ts', text: emitTypeScript(definition) },
    { file: 'py_worker/server/protocol_gen.py', text: emitPython(definition) },
    { file: 'protocol/REFERENCE.md', text: emitMarkdown(definition) },
  ];
  const drifted = outputs.filter(({ file, text }) => {
    if (!check) writeFileSync(path.join(root, file), text);
    return (
      check && (!existsSync(path.join(root, file)) || readFileSync(path.join(root, file), 'utf8') !== text)
    );
  });
  for (const { file } of drifted)
    console.error(`${file} differs from protocol/protocol.json; run 'npm run generate'`);
  return drifted.length === 0 ? 0 : 1;
}

process.exitCode = main(process.argv.includes('--check'));
