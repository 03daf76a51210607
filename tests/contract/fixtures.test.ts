import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { decodeBody, decodeMessage, encodeMessage } from '../../ts/wire/codec.js';
import {
  type ControllerMessage,
  controllerMessageSchema,
  OPERATIONS,
  type OperationName,
} from '../../ts/wire/protocol.gen.js';

interface Fixture {
  readonly name: string;
  readonly from: 'worker' | 'controller';
  readonly body: Record<string, unknown>;
}

const FOLDER = path.resolve('protocol/fixtures');
const read = (name: string): unknown =>
  JSON.parse(readFileSync(path.join(FOLDER, name), 'utf8'), reviveFloat);
const fixtures = read('messages.json') as readonly Fixture[];

/** JSON has no NaN and no infinities: they stand as {"$float": "nan"}. */
function reviveFloat(_key: string, value: unknown): unknown {
  const special = (value as { $float?: string } | null)?.$float;
  if (special === undefined) return value;
  return special === 'nan' ? Number.NaN : Number(special.replace('inf', 'Infinity'));
}

/** Bytes as this side writes them, whoever sends such messages in earnest. */
function encodeHex({ body }: Fixture): string {
  return Buffer.from(encodeMessage(body as ControllerMessage)[0]).toString('hex');
}

if (process.env.UPDATE_FIXTURES) {
  const bytes = Object.fromEntries(fixtures.map((fixture) => [fixture.name, encodeHex(fixture)]));
  writeFileSync(path.join(FOLDER, 'typescript.json'), `${JSON.stringify(bytes, null, 1)}\n`);
}
const bytes = {
  python: read('python.json') as Readonly<Record<string, string>>,
  typescript: read('typescript.json') as Readonly<Record<string, string>>,
};

/** The operation whose arguments or result a fixture carries, if it does. */
function operationOf({ name, body }: Fixture): OperationName | undefined {
  const op = /^re(?:quest|ply) (\w+),/.exec(name)?.[1] ?? body.op;
  return typeof op === 'string' && op in OPERATIONS ? (op as OperationName) : undefined;
}

describe.each(['python', 'typescript'] as const)('bytes written by %s', (language) => {
  test.each(fixtures.map((fixture) => [fixture.name, fixture] as const))('%s', (name, fixture) => {
    const body = Buffer.from(bytes[language][name] ?? '', 'hex');
    expect(decodeBody(body)).toEqual(fixture.body);
    if (fixture.from === 'worker' && fixture.body.kind !== 'reply') decodeMessage([body]);
    if (fixture.from === 'controller') controllerMessageSchema.parse(fixture.body);
    const op = operationOf(fixture);
    if (op === undefined) return;
    if (fixture.from === 'controller') OPERATIONS[op].args.parse(fixture.body.args);
    else OPERATIONS[op].result.parse(fixture.body.result);
  });
});

test('this side still writes the bytes it wrote', () => {
  const written = Object.fromEntries(fixtures.map((fixture) => [fixture.name, encodeHex(fixture)]));
  expect(written).toEqual(bytes.typescript);
});

test('MessagePack has several ways to write a value, and the two libraries differ in it', () => {
  // Were all bytes equal, comparing decoded values would not be tested at all.
  expect(fixtures.some(({ name }) => bytes.python[name] !== bytes.typescript[name])).toBe(true);
});
