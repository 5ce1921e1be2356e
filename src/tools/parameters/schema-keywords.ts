type Schema = Readonly<Record<string, unknown>>;

/** What a provider reads: JSON Schema, or the subset of it that OpenAPI 3.0 has (Gemini). */
export type Dialect = 'json-schema' | 'openapi';

const keywords: Readonly<Record<Dialect, readonly string[]>> = {
  'json-schema': [
    ...['title', 'description', 'default', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
    ...['minLength', 'maxLength', 'minItems', 'maxItems', 'uniqueItems', 'minProperties', 'maxProperties'],
  ],
  openapi: ['description', 'minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems'],
};

/** Formats that providers know (OpenAI, "Structured outputs, supported schemas"; Gemini, "Schema.format"). */
const formats: Readonly<Record<Dialect, readonly string[]>> = {
  'json-schema': ['date-time', 'time', 'date', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uuid'],
  openapi: ['date-time', 'int32', 'int64', 'float', 'double'],
};

const maxEnumShown = 300;

/** The keywords of one schema, apart from those that hold other schemas. What is not offered goes into the description. */
export function writeKeywords(schema: Schema, types: readonly unknown[], dialect: Dialect): Schema {
  const result: Record<string, unknown> = {};
  for (const key of keywords[dialect]) if (schema[key] != null) result[key] = schema[key];
  writeBounds(schema, types, dialect, result);
  const notes: string[] = [];
  const [type, ...others] = types;
  if (others.length === 0) {
    if (type !== undefined) result.type = type;
  } else if (dialect === 'openapi') {
    result.anyOf = types.map((one) => (one === 'array' ? { type: one, items: { type: 'string' } } : { type: one }));
  } else result.type = types;

  const values = listValues(schema);
  if (values !== null) {
    if (dialect === 'json-schema' || values.every((value) => typeof value === 'string')) result.enum = values;
    else notes.push(`One of ${JSON.stringify(values).slice(0, maxEnumShown)}.`);
  }
  const { format, pattern } = schema;
  if (typeof format === 'string') {
    if (formats[dialect].includes(format)) result.format = format;
    else notes.push(`Format: ${format.slice(0, 100)}.`);
  }
  if (typeof pattern === 'string') {
    if (isPlainPattern(pattern)) result.pattern = pattern;
    else notes.push(`Pattern: ${pattern.slice(0, maxEnumShown)}`);
  }
  return notes.reduce(describeAway, result);
}

/** The schema with a note at the end of its description. */
export function describeAway(schema: Schema, note: string): Schema {
  const { description } = schema;
  return { ...schema, description: typeof description === 'string' ? `${description} ${note}` : note };
}

/** The type that a schema without one must mean, as far as its keywords tell. */
export function inferType(schema: Schema): string[] {
  const values = listValues(schema);
  if (values !== null) return [...new Set(values.map(typeOf))];
  const has = (...keys: readonly string[]) => keys.some((key) => schema[key] !== undefined);
  if (has('properties', 'required', 'additionalProperties', 'minProperties', 'maxProperties')) return ['object'];
  if (has('items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems')) return ['array'];
  if (has('pattern', 'format', 'minLength', 'maxLength')) return ['string'];
  if (has('minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf')) return ['number'];
  return [];
}

/** The only values that fit, without null; null if there is no such list. */
function listValues(schema: Schema): unknown[] | null {
  if (schema.const !== undefined && schema.const !== null) return [schema.const];
  if (!Array.isArray(schema.enum)) return null;
  const values = schema.enum.filter((value) => value !== null);
  return values.length === 0 ? null : values;
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

/** Exclusive bounds as the dialect has them: of integers as inclusive ones, which every provider reads. */
function writeBounds(
  schema: Schema,
  types: readonly unknown[],
  dialect: Dialect,
  result: Record<string, unknown>,
): void {
  for (const [exclusive, inclusive, step] of [
    ['exclusiveMinimum', 'minimum', 1],
    ['exclusiveMaximum', 'maximum', -1],
  ] as const) {
    // In draft 4 it is a boolean beside the bound.
    const bound = schema[exclusive] === true ? schema[inclusive] : schema[exclusive];
    if (typeof bound !== 'number') {
      delete result[exclusive];
      continue;
    }
    if (types.length === 1 && types[0] === 'integer' && Number.isInteger(bound)) {
      delete result[exclusive];
      result[inclusive] = bound + step;
    } else if (dialect === 'openapi') result[inclusive] = bound;
    else {
      result[exclusive] = bound;
      if (schema[exclusive] === true) delete result[inclusive];
    }
  }
}

/** Servers that make a grammar of a pattern (llama.cpp) refuse those that are not anchored, or look around. */
function isPlainPattern(pattern: string): boolean {
  return /^\^.*\$$/s.test(pattern) && !pattern.includes('(?') && !/\\[bBpPkA-Z1-9]/.test(pattern);
}
