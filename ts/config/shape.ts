import type { z } from 'zod';

type Schema = z.core.$ZodType;

/** What a schema accepts, freed of wrappers (defaults, nullable, pipes) but with what they said. */
export interface Shape {
  readonly schema: z.core.$ZodTypes;
  readonly nullable: boolean;
}

/** The alternatives of a schema: one, or those of a union. */
export function shapes(schema: Schema, nullable = false): readonly Shape[] {
  const known = schema as z.core.$ZodTypes;
  const definition = known._zod.def;
  switch (definition.type) {
    case 'default':
    case 'prefault':
    case 'optional':
      return shapes(definition.innerType, nullable);
    case 'nullable':
      return shapes(definition.innerType, true);
    case 'pipe': {
      const made = (definition.out as z.core.$ZodTypes)._zod.def.type === 'transform';
      return shapes(made ? definition.in : definition.out, nullable);
    }
    case 'union':
      return definition.options.flatMap((option) => shapes(option, nullable));
    default:
      return [{ schema: known, nullable }];
  }
}

function step(shape: Shape, key: string): readonly Shape[] {
  const definition = shape.schema._zod.def;
  if (definition.type === 'object') {
    const field = Object.hasOwn(definition.shape, key) ? definition.shape[key] : undefined;
    return field === undefined ? [] : shapes(field);
  }
  if (definition.type === 'record') return shapes(definition.valueType);
  if (definition.type === 'array') return shapes(definition.element);
  if (definition.type === 'tuple') {
    const item = definition.items[Number(key)];
    return item === undefined ? [] : shapes(item);
  }
  return [];
}

/** What may stand at a path below `schema`. */
export function shapesAt(schema: Schema, path: readonly PropertyKey[]): readonly Shape[] {
  return path.reduce<readonly Shape[]>(
    (here, key) => here.flatMap((shape) => step(shape, String(key))),
    shapes(schema),
  );
}

/** Whether a mapping at this place has entries by names that are free to choose. */
export function isNamed(alternatives: readonly Shape[]): boolean {
  return alternatives.some(({ schema }) => schema._zod.def.type === 'record');
}

/** Keys that a mapping at this place may have. */
export function keysOf(alternatives: readonly Shape[]): readonly string[] {
  const keys = alternatives.flatMap(({ schema }) => {
    const definition = schema._zod.def;
    return definition.type === 'object' ? Object.keys(definition.shape) : [];
  });
  return [...new Set(keys)];
}

/** Bounds in words: from 1 to 8, above 0 to 1. The limits of safe integers go without saying. */
function numberText(definition: z.core.$ZodNumberDef): string {
  const bounds = (definition.checks ?? []).map((check) => check._zod.def);
  const words = bounds.map((bound) => {
    const { value, inclusive } = bound as z.core.$ZodCheckGreaterThanDef;
    if (value === Number.MAX_SAFE_INTEGER) return '';
    if (bound.check === 'greater_than') return `${inclusive ? 'from' : 'above'} ${value}`;
    return bound.check === 'less_than' ? `${inclusive ? 'to' : 'below'} ${value}` : '';
  });
  const whole = 'format' in definition && definition.format === 'safeint';
  return [whole ? 'whole number' : 'number', ...words].filter((word) => word !== '').join(' ');
}

function describeOne(schema: z.core.$ZodTypes): string {
  const definition = schema._zod.def;
  switch (definition.type) {
    case 'number':
      return numberText(definition);
    case 'string':
      return 'text';
    case 'boolean':
      return 'true or false';
    case 'enum':
      return Object.values(definition.entries).join(' | ');
    case 'literal':
      return definition.values.join(' | ');
    case 'array':
      return `list of ${describe(shapes(definition.element))}`;
    case 'tuple':
      return `[${definition.items.map((item) => describe(shapes(item))).join(', ')}]`;
    case 'lazy':
      return 'any value';
    case 'record':
      return `mapping of names to ${describe(shapes(definition.valueType))}`;
    case 'object':
      return `mapping {${Object.keys(definition.shape).join(', ')}}`;
    default:
      return definition.type;
  }
}

/** What is allowed, in words: type, range, choices. */
export function describe(alternatives: readonly Shape[]): string {
  const texts = alternatives.map(({ schema }) => describeOne(schema));
  if (alternatives.some(({ nullable }) => nullable)) texts.push('null');
  return [...new Set(texts)].join(', or ');
}
