import {
  type Definition,
  definitionHash,
  type Field,
  type Fields,
  type FieldType,
  HANDLE_PATTERN,
  pascalCase,
} from './definition.js';

function meta(type: string, constraints: Readonly<Record<string, number | undefined>>): string {
  const set = Object.entries(constraints).filter(([, value]) => value !== undefined);
  if (set.length === 0) return type;
  return `Annotated[${type}, Meta(${set.map(([name, value]) => `${name}=${value}`).join(', ')})]`;
}

function annotationOf(field: FieldType): string {
  switch (field.type) {
    case 'bool':
      return 'bool';
    case 'int':
      return meta('int', { ge: field.min, le: field.max });
    case 'float':
      return meta('float', { ge: field.min, le: field.max });
    case 'number':
      return 'float';
    case 'string':
      return meta('str', { max_length: field.max });
    case 'handle':
      return 'Handle';
    case 'error_code':
      return 'ErrorCode';
    case 'enum':
      return `Literal[${field.values.map((value) => JSON.stringify(value)).join(', ')}]`;
    case 'list':
      return meta(`list[${annotationOf(field.items)}]`, { max_length: field.max });
    case 'map':
      return meta(`dict[str, ${annotationOf(field.values)}]`, { max_length: field.max });
    case 'ref':
      return field.name;
    case 'tensor':
      return 'Any';
    case 'args':
      return 'Raw';
    case 'result':
      return 'Any';
  }
}

function fieldLines([name, field]: [string, Field]): string {
  const annotation = annotationOf(field);
  const line = field.optional
    ? `    ${name}: ${annotation} | UnsetType = UNSET`
    : `    ${name}: ${annotation}`;
  return `${line}\n    """${field.doc}"""`;
}

function struct(name: string, doc: string, fields: Fields, options = ''): string {
  const lines = Object.entries(fields).map(fieldLines);
  return [
    `class ${name}(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True${options}):`,
    `    """${doc}"""`,
    ...(lines.length > 0 ? ['', ...lines] : []),
    '',
    '',
  ].join('\n');
}

const HEAD = `# Generated from protocol/protocol.json by 'npm run generate'. Do not edit.
"""The worker's side of the contract: msgspec structs, limits, error codes and operations."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
`;

const TENSOR_REF = `class TensorRef(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A raw tensor frame of the same message; frame counts the frames after the body, from 0."""

    dtype: str
    shape: list[int]
    frame: int


`;

const OPERATION = `@dataclass(frozen=True)
class Operation:
    """What the contract says of one operation."""

    mutating: bool
    args: type[Struct]
    result: type[Struct]


`;

/** The worker's side of the contract. */
export function emitPython(definition: Definition): string {
  const limits = Object.entries(definition.limits).map(
    ([name, { value, doc }]) => `${name.toUpperCase()}: Final = ${value}\n"""${doc}"""`,
  );
  const codes = Object.keys(definition.errors);
  const fatal = codes.filter((code) => definition.errors[code]?.fatal);
  const list = (values: readonly string[]) => values.map((value) => JSON.stringify(value)).join(', ');
  const types = Object.entries(definition.types).map(([name, type]) => struct(name, type.doc, type.fields));
  const messages = Object.entries(definition.messages).map(([name, message]) =>
    struct(`${pascalCase(name)}Message`, message.doc, message.fields, `, tag_field="kind", tag="${name}"`),
  );
  const operations = Object.entries(definition.operations).map(
    ([name, operation]) =>
      struct(`${pascalCase(name)}Args`, operation.doc, operation.args) +
      struct(`${pascalCase(name)}Result`, `Result of ${name}.`, operation.result),
  );
  const from = (side: string) =>
    Object.entries(definition.messages)
      .filter(([, message]) => message.from === side)
      .map(([name]) => `${pascalCase(name)}Message`)
      .join(' | ');
  const table = Object.entries(definition.operations).map(
    ([name, operation]) =>
      `    "${name}": Operation(${operation.mutating ? 'True' : 'False'}, ${pascalCase(name)}Args, ${pascalCase(name)}Result),`,
  );
  return [
    HEAD,
    `PROTOCOL_VERSION: Final = ${definition.version}`,
    `PROTOCOL_HASH: Final = "${definitionHash(definition)}"`,
    '',
    ...limits,
    '',
    `ErrorCode = Literal[${list(codes)}]`,
    `FATAL_ERRORS: Final[frozenset[str]] = frozenset({${list(fatal)}})`,
    `Handle = Annotated[str, Meta(pattern=r"${HANDLE_PATTERN}")]`,
    '',
    '',
    `${TENSOR_REF}${types.join('')}${messages.join('')}${operations.join('')}${OPERATION}` +
      `WorkerMessage = ${from('worker')}\nControllerMessage = ${from('controller')}\n`,
    `OPERATIONS: Final[dict[str, Operation]] = {\n${table.join('\n')}\n}`,
    '',
  ].join('\n');
}
