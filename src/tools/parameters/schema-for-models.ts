import { nameForModels } from './property-names.ts';
import { followPointer, maxJsonLength, SchemaUnsupportedError } from './schema-bounds.ts';
import { type Dialect, describeAway, inferType, writeKeywords } from './schema-keywords.ts';

export type { Dialect };

type Schema = Readonly<Record<string, unknown>>;

/** The most parts of a schema with its references written out, and how deep it may be nested. */
const maxParts = 5_000;
const maxDepth = 40;

interface Walk {
  readonly root: Schema;
  readonly dialect: Dialect;
  /** The references that lead to here. */
  readonly through: readonly string[];
  readonly depth: number;
  readonly count: { parts: number };
}

/** The schemas that were written, by dialect: the same tools are offered with every request. */
const written: Readonly<Record<Dialect, WeakMap<Schema, Schema>>> = {
  'json-schema': new WeakMap(),
  openapi: new WeakMap(),
};

/**
 * The JSON Schema of a tool's arguments in a form that providers take: an object at its root, no references, a type
 * wherever one can be found out, `items` in each array, names that providers allow, and no keyword that some of them
 * refuse. It says less than the tool's own schema, which calls are checked against.
 * @param dialect what the provider reads: JSON Schema, or the subset that OpenAPI 3.0 has (Gemini)
 * @throws {SchemaUnsupportedError} when it is not the schema of an object, is too large or too deep
 */
export function writeSchemaForModels(parameters: Schema, dialect: Dialect): Schema {
  const known = written[dialect].get(parameters);
  if (known) return known;
  const walk: Walk = { root: parameters, dialect, through: [], depth: 0, count: { parts: 0 } };
  const schema = writeRoot(parameters, walk);
  if (JSON.stringify(schema).length > maxJsonLength) {
    throw new SchemaUnsupportedError(`must be at most ${maxJsonLength} characters with its references written out`);
  }
  written[dialect].set(parameters, schema);
  return schema;
}

/** Why models cannot be offered a tool with these parameters, as a sentence; null: they can. */
export function explainNotOffered(parameters: Schema): string | null {
  try {
    writeSchemaForModels(parameters, 'json-schema');
    return null;
  } catch (error) {
    if (!(error instanceof SchemaUnsupportedError)) throw error;
    return `Its schema ${error.message}.`;
  }
}

/** Providers refuse alternatives at the root: the arguments of all of them are offered, those that all require as required. */
function writeRoot(parameters: Schema, walk: Walk): Schema {
  const root = merge(parameters, walk);
  const types = root.schema.type === undefined ? ['object'] : [root.schema.type].flat();
  if (!types.includes('object')) throw new SchemaUnsupportedError('must have "type": "object" at its root');
  const branches = listBranches(root.schema).map((branch) => merge(branch, root.walk).schema);
  const properties = Object.assign({}, ...branches.map(propertiesOf), propertiesOf(root.schema));
  const [first = [], ...others] = branches.map(requiredOf);
  const common = first.filter((name) => others.every((names) => names.includes(name)));
  const { description, additionalProperties } = root.schema;
  const object = { type: 'object', properties, required: [...new Set([...requiredOf(root.schema), ...common])] };
  const more = { ...(description === undefined ? {} : { description }), additionalProperties };
  const { properties: offered = {}, ...rest } = writeObject({ ...object, ...more }, root.walk);
  return { ...(typeof description === 'string' && { description }), type: 'object', properties: offered, ...rest };
}

/** A subschema; null for one that nothing fits. */
function write(node: unknown, walk: Walk, optional: boolean): Schema | null {
  if (node === false) return null;
  if (!isObject(node)) return {};
  const { schema, walk: inner } = merge(node, walk);
  const branches = listBranches(schema);
  const real = branches.filter((branch) => !isNull(branch));
  const types = [schema.type ?? []].flat().filter((type) => type !== 'null');
  const nullable = real.length < branches.length || [schema.type].flat().includes('null') || schema.nullable === true;
  const only = real.length === 1 ? real[0] : undefined;
  // An alternative that is the only one left is the schema itself.
  if (only !== undefined) {
    const { anyOf: _any, oneOf: _one, ...own } = schema;
    const merged = merge(only, inner);
    const both = { ...merged.schema, ...own };
    return addNull(write(both, deeper(merged.walk), optional) ?? {}, nullable && !optional, walk.dialect);
  }
  const alternatives = real.length > 1 ? writeAlternatives(real, inner) : [];
  const type = alternatives.length > 0 ? [] : types.length > 0 ? types : inferType(schema);
  // OpenAPI 3.0 has no lists of types: they become alternatives without parts.
  const offersParts = type.length === 1 || walk.dialect === 'json-schema';
  const result: Schema = {
    ...writeKeywords(schema, type, walk.dialect),
    ...(alternatives.length > 0 && { anyOf: alternatives }),
    ...(type.includes('array') && offersParts && { items: writeItems(schema, inner) }),
    ...(type.includes('object') && offersParts && writeObject(schema, inner)),
  };
  return addNull(result, nullable && !optional, walk.dialect);
}

function writeAlternatives(branches: readonly Schema[], walk: Walk): Schema[] {
  return branches.map((branch) => write(branch, deeper(walk), true)).filter((branch) => branch !== null);
}

/** What is in an array. A list of schemas, one for each place, becomes alternatives for all places. */
function writeItems({ items, prefixItems }: Schema, walk: Walk): Schema {
  const places: unknown[] = [Array.isArray(items) ? items : [], Array.isArray(prefixItems) ? prefixItems : []].flat();
  const alternatives = writeAlternatives(places.filter(isObject), walk);
  const [first, ...others] = alternatives;
  const own = Array.isArray(items) ? null : write(items, deeper(walk), true);
  if (first === undefined) {
    const empty = own === null || Object.keys(own).length === 0;
    return empty ? (walk.dialect === 'openapi' ? { type: 'string' } : {}) : own;
  }
  return others.length === 0 ? first : { anyOf: alternatives };
}

function writeObject(schema: Schema, walk: Walk): Schema {
  const required = requiredOf(schema);
  const properties = Object.entries(propertiesOf(schema)).flatMap(([name, property]) => {
    const offered = write(property, deeper(walk), !required.includes(name));
    return offered === null ? [] : [[nameForModels(name), offered] as const];
  });
  const names = new Set(properties.map(([name]) => name));
  const requiredNames = required.map(nameForModels).filter((name) => names.has(name));
  const more = schema.additionalProperties;
  const additional = isObject(more) ? write(more, deeper(walk), true) : more;
  return {
    ...(properties.length > 0 && { properties: Object.fromEntries(properties) }),
    ...(requiredNames.length > 0 && { required: requiredNames }),
    ...(walk.dialect === 'json-schema' && additional != null && { additionalProperties: additional }),
  };
}

/** A schema with what it refers to, and all parts that have to fit, in one. */
function merge(node: Schema, walk: Walk): { readonly schema: Schema; readonly walk: Walk } {
  walk.count.parts += 1;
  if (walk.count.parts > maxParts) throw new SchemaUnsupportedError(`must have at most ${maxParts} parts`);
  if (walk.depth > maxDepth) throw new SchemaUnsupportedError(`must not be nested deeper than ${maxDepth}`);
  const { $ref, allOf, ...own } = node;
  let [schema, inner]: [Schema, Walk] = [own, walk];
  if (typeof $ref === 'string') {
    if (walk.through.includes($ref)) return { schema: describeAway(own, 'Nested like the value that holds it.'), walk };
    const target = findTarget(walk.root, $ref);
    inner = { ...deeper(walk), through: [...walk.through, $ref] };
    if (isObject(target)) schema = { ...merge(target, inner).schema, ...own };
  }
  for (const part of Array.isArray(allOf) ? allOf.filter(isObject) : []) {
    const merged = merge(part, deeper(inner)).schema;
    const properties = { ...propertiesOf(merged), ...propertiesOf(schema) };
    const required = [...new Set([...requiredOf(merged), ...requiredOf(schema)])];
    schema = {
      ...{ ...merged, ...schema },
      ...(Object.keys(properties).length > 0 && { properties }),
      ...(required.length > 0 && { required }),
    };
  }
  return { schema, walk: inner };
}

/** The target of a reference; null if it cannot be found: nothing is then said of that value. */
function findTarget(root: Schema, reference: string): unknown {
  try {
    return followPointer(root, reference);
  } catch (error) {
    if (error instanceof SchemaUnsupportedError) return null;
    throw error;
  }
}

function addNull(schema: Schema, nullable: boolean, dialect: Dialect): Schema {
  if (!nullable) return schema;
  if (dialect === 'openapi') return { ...schema, nullable: true };
  if (Array.isArray(schema.anyOf)) return { ...schema, anyOf: [...schema.anyOf, { type: 'null' }] };
  if (schema.type === undefined) return schema;
  const values = Array.isArray(schema.enum) ? { enum: [...schema.enum, null] } : {};
  return { ...schema, type: [...new Set([schema.type, 'null'].flat())], ...values };
}

function deeper(walk: Walk): Walk {
  return { ...walk, depth: walk.depth + 1 };
}

function listBranches({ anyOf, oneOf }: Schema): Schema[] {
  const branches: unknown[] = [anyOf ?? [], oneOf ?? []].flat();
  return branches.filter(isObject);
}

function isNull({ type, const: only, enum: values }: Schema): boolean {
  return type === 'null' || only === null || (Array.isArray(values) && values.length === 1 && values[0] === null);
}

function propertiesOf({ properties }: Schema): Schema {
  return isObject(properties) ? properties : {};
}

function requiredOf({ required }: Schema): string[] {
  return Array.isArray(required) ? required.filter((name) => typeof name === 'string') : [];
}

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
