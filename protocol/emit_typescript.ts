import {
  camelCase,
  type Definition,
  definitionHash,
  type Field,
  type Fields,
  type FieldType,
  HANDLE_PATTERN,
  pascalCase,
} from './definition.js';

function bounds(field: { readonly min?: number; readonly max?: number }): string {
  const min = field.min === undefined ? '' : `.min(${field.min})`;
  const max = field.max === undefined ? '' : `.max(${field.max})`;
  return min + max;
}

function schemaOf(field: FieldType): string {
  switch (field.type) {
    case 'bool':
      return 'z.boolean()';
    case 'int':
      return `z.int()${bounds(field)}`;
    case 'float':
      return `z.number()${bounds(field)}`;
    case 'number':
      return 'wireNumberSchema';
    case 'string':
      return `z.string().max(${field.max})`;
    case 'handle':
      return 'handleSchema';
    case 'error_code':
      return 'errorCodeSchema';
    case 'enum':
      return `z.enum(${JSON.stringify(field.values)})`;
    case 'list':
      return `z.array(${schemaOf(field.items)})${bounds(field.max === undefined ? {} : { max: field.max })}`;
    case 'map':
      return `mapSchema(${schemaOf(field.values)}, ${field.max})`;
    case 'ref':
      return `${field.name.charAt(0).toLowerCase()}${field.name.slice(1)}Schema`;
    case 'tensor':
      return `tensorRefSchema('${field.dtype}', ${field.rank})`;
    case 'args':
    case 'result':
      return 'z.record(z.string(), z.unknown())';
  }
}

function fieldLine([name, field]: [string, Field]): string {
  const schema = schemaOf(field) + (field.optional ? '.exactOptional()' : '');
  return `  /** ${field.doc} */\n  ${name}: ${schema},`;
}

function objectSchema(fields: Fields, head = ''): string {
  const lines = Object.entries(fields).map(fieldLine);
  return `z.strictObject({\n${[head, ...lines].filter((line) => line !== '').join('\n')}\n})`;
}

function schemaAndType(name: string, doc: string, schema: string): string {
  const constant = `${name.charAt(0).toLowerCase()}${name.slice(1)}Schema`;
  return `/** ${doc} */\nexport const ${constant} = ${schema};\nexport type ${name} = z.infer<typeof ${constant}>;\n`;
}

const PRELUDE = `
/** A MessagePack number as it comes: NaN and infinities are allowed, unlike z.number(). */
export const wireNumberSchema = z.custom<number>((value) => typeof value === 'number', 'expected a number');

const mapSchema = <Value extends z.ZodType>(values: Value, max: number) =>
  z.record(z.string(), values).refine((map) => Object.keys(map).length <= max, \`more than \${max} entries\`);

/** A raw tensor frame of the same message: \`frame\` counts the frames after the body, from 0. */
export const tensorRefSchema = (dtype: string, rank: number) =>
  z.strictObject({
    dtype: z.literal(dtype),
    shape: z.array(z.int().min(0)).length(rank),
    frame: z.int().min(0),
  });
export type TensorRef = z.infer<ReturnType<typeof tensorRefSchema>>;
`;

/** The controller's side of the contract: zod schemas and the types inferred from them. */
export function emitTypeScript(definition: Definition): string {
  const limits = Object.entries(definition.limits).map(
    ([name, { value, doc }]) => `  /** ${doc} */\n  ${camelCase(name)}: ${value},`,
  );
  const errors = Object.entries(definition.errors);
  const fatal = errors.filter(([, error]) => error.fatal).map(([code]) => code);
  const types = Object.entries(definition.types).map(([name, type]) =>
    schemaAndType(name, type.doc, objectSchema(type.fields)),
  );
  const messages = Object.entries(definition.messages).map(([name, message]) =>
    schemaAndType(
      `${pascalCase(name)}Message`,
      message.doc,
      objectSchema(message.fields, `  kind: z.literal('${name}'),`),
    ),
  );
  const union = (from: string) =>
    Object.entries(definition.messages)
      .filter(([, message]) => message.from === from)
      .map(([name]) => `${camelCase(name)}MessageSchema`)
      .join(', ');
  const operations = Object.entries(definition.operations).map(
    ([name, operation]) =>
      `  /** ${operation.doc} */\n  ${name}: {\n    mutating: ${operation.mutating},\n    args: ${objectSchema(operation.args)},\n    result: ${objectSchema(operation.result)},\n  },`,
  );
  return [
    "// Generated from protocol/protocol.json by 'npm run generate'. Do not edit.",
    "import { z } from 'zod';",
    '',
    `export const PROTOCOL_VERSION = ${definition.version};`,
    `export const PROTOCOL_HASH = '${definitionHash(definition)}';`,
    '',
    `export const LIMITS = {\n${limits.join('\n')}\n} as const;`,
    '',
    `export const errorCodeSchema = z.enum(${JSON.stringify(errors.map(([code]) => code))});`,
    'export type ErrorCode = z.infer<typeof errorCodeSchema>;',
    `export const FATAL_ERRORS: ReadonlySet<ErrorCode> = new Set(${JSON.stringify(fatal)} as const);`,
    PRELUDE,
    '/** A name the controller gives to a result: `step:N/name`, `buffer/name` or `session/name`. */',
    `export const handleSchema = z.string().regex(/${HANDLE_PATTERN.replaceAll('/', '\\/')}/);`,
    '',
    types.join('\n'),
    messages.join('\n'),
    `export const workerMessageSchema = z.discriminatedUnion('kind', [${union('worker')}]);`,
    'export type WorkerMessage = z.infer<typeof workerMessageSchema>;',
    `export const controllerMessageSchema = z.discriminatedUnion('kind', [${union('controller')}]);`,
    'export type ControllerMessage = z.infer<typeof controllerMessageSchema>;',
    '',
    `export const OPERATIONS = {\n${operations.join('\n')}\n} as const;`,
    '',
    'export type OperationName = keyof typeof OPERATIONS;',
    '/** Arguments are only read, so callers may pass readonly data. */',
    'export type Immutable<T> = T extends object ? { readonly [Key in keyof T]: Immutable<T[Key]> } : T;',
    "export type OperationArgs<Name extends OperationName> = Immutable<z.infer<(typeof OPERATIONS)[Name]['args']>>;",
    "export type OperationResult<Name extends OperationName> = z.infer<(typeof OPERATIONS)[Name]['result']>;",
    '',
  ].join('\n');
}
