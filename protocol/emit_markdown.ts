import {
  type Definition,
  definitionHash,
  type Fields,
  type FieldType,
  HANDLE_PATTERN,
} from './definition.js';

function range(field: { readonly min?: number; readonly max?: number }): string {
  if (field.min === undefined && field.max === undefined) return '';
  return ` ${field.min ?? '…'} to ${field.max ?? '…'}`;
}

/** The type of a field in words. */
function typeInWords(field: FieldType): string {
  switch (field.type) {
    case 'int':
    case 'float':
      return field.type + range(field);
    case 'string':
      return `string, at most ${field.max} characters`;
    case 'enum':
      return field.values.map((value) => `\`${value}\``).join(' or ');
    case 'list':
      return `list of ${typeInWords(field.items)}${field.max === undefined ? '' : `; at most ${field.max}`}`;
    case 'map':
      return `map from string to ${typeInWords(field.values)}; at most ${field.max}`;
    case 'ref':
      return `[${field.name}](#${field.name.toLowerCase()})`;
    case 'tensor':
      return `tensor of ${field.dtype}, rank ${field.rank}`;
    case 'error_code':
      return 'error code';
    case 'args':
      return "the operation's arguments";
    case 'result':
      return "the operation's result";
    default:
      return field.type;
  }
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

function fieldTable(title: string, fields: Fields): string {
  if (Object.keys(fields).length === 0) return `${title}: none.`;
  const rows = Object.entries(fields).map(([name, field]) => [
    `\`${name}\``,
    typeInWords(field) + (field.optional ? '; optional' : ''),
    field.doc,
  ]);
  return table([title, 'type', 'meaning'], rows);
}

/** The contract as tables for people who write a worker. */
export function emitMarkdown(definition: Definition): string {
  const limits = Object.entries(definition.limits).map(([name, { value, doc }]) => [
    `\`${name}\``,
    `${value}`,
    doc,
  ]);
  const errors = Object.entries(definition.errors).map(([code, { fatal, doc }]) => [
    `\`${code}\``,
    fatal ? 'yes' : 'no',
    doc,
  ]);
  const messages = Object.entries(definition.messages).map(
    ([name, message]) =>
      `### ${name}\n\nFrom the ${message.from}. ${message.doc}\n\n${fieldTable('field', message.fields)}`,
  );
  const operations = Object.entries(definition.operations).map(
    ([name, operation]) =>
      `### ${name}\n\n${operation.doc} ${operation.mutating ? 'Mutating.' : 'Changes nothing.'}\n\n` +
      `${fieldTable('argument', operation.args)}\n\n${fieldTable('result', operation.result)}`,
  );
  const types = Object.entries(definition.types).map(
    ([name, type]) => `### ${name}\n\n${type.doc}\n\n${fieldTable('field', type.fields)}`,
  );
  return [
    "<!-- Generated from protocol/protocol.json by 'npm run generate'. Do not edit. -->",
    `# Reference of the wire contract\n\n${definition.doc} The rules are in [README.md](README.md).`,
    `Version ${definition.version}, hash \`${definitionHash(definition)}\`.`,
    `Handles match \`${HANDLE_PATTERN}\`.`,
    `## Limits\n\n${table(['limit', 'value', 'meaning'], limits)}`,
    `## Error codes\n\nA fatal error ends the connection.\n\n${table(['code', 'fatal', 'meaning'], errors)}`,
    `## Messages\n\n${messages.join('\n\n')}`,
    `## Operations\n\n${operations.join('\n\n')}`,
    `## Types\n\n${types.join('\n\n')}\n`,
  ].join('\n\n');
}
