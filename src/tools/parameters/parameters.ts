import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import {
  compilePattern,
  compileWithinLimit,
  MatchTooLongError,
  matchWithinLimit,
  PatternsTooLargeError,
} from './patterns.ts';

/** The most characters of a JSON Schema, and of the arguments of one call, as JSON. */
export const maxJsonLength = 65_536;
/** How deep a JSON Schema may be nested. */
const deepest = 40;
/** How many subschemas there may be when every `$ref` is written out: what is checked must be checked soon. */
const maxSubschemas = 5_000;
/**
 * Parts of the schema times parts of the arguments: in the worst case each meets each. As many as take some tenths of a
 * second, in which nothing else is done.
 */
const maxComparisons = 5_000_000;
const keptChecks = 500;

/** Says what is wrong with arguments, in a sentence for the model; null: they fit. */
export type ArgumentCheck = (args: unknown) => string | null;

/** What a model is told of arguments that `readArguments` does not take. */
export const invalidArguments = `The arguments must be one JSON object of at most ${maxJsonLength} characters.`;

/** Arguments as an object of bounded size; null where they are none. */
export function readArguments(args: unknown): Readonly<Record<string, unknown>> | null {
  if (typeof args !== 'object' || args === null || Array.isArray(args)) return null;
  return JSON.stringify(args).length > maxJsonLength ? null : { ...args };
}

/** A JSON Schema that arguments cannot be checked against here. The message is the end of a sentence: "must …". */
export class SchemaUnsupportedError extends Error {
  override readonly name = 'SchemaUnsupportedError';
}

/** After so many schemas Ajv begins anew: it keeps parts of every schema that it has compiled. */
const maxSchemas = 500;

function createAjv(strictSchema: boolean): Ajv2020 {
  const ajv = new Ajv2020({
    strictSchema,
    strictTypes: false,
    strictTuples: false,
    strictRequired: false,
    // Formats are for the model to read, as JSON Schema 2020-12 has it ("Validation", 7.2.1: an annotation by default).
    validateFormats: false,
    addUsedSchema: false,
    code: { regExp: Object.assign(compilePattern, { code: 'compilePattern' }) },
    logger: false,
  });
  // Ajv's own compares each with each.
  ajv.removeKeyword('uniqueItems').addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    schemaType: 'boolean',
    validate: (wanted: boolean, items: readonly unknown[]) => !wanted || areUnique(items),
    error: { message: 'must not have the same item twice' },
  });
  return strictSchema ? ajv.addVocabulary(['example']) : ajv;
}

function areUnique(items: readonly unknown[]): boolean {
  return new Set(items.map(writeCanonically)).size === items.length;
}

/** JSON that is the same for equal values (JSON Schema 2020-12 "Core", 4.2.2), whatever the order of their keys. */
export function writeCanonically(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

let [strict, lenient] = [createAjv(true), createAjv(false)];
let compiled = 0;

function chooseAjv(options: { readonly strict: boolean }): Ajv2020 {
  compiled += 1;
  if (compiled % maxSchemas === 0) [strict, lenient] = [createAjv(true), createAjv(false)];
  return options.strict ? strict : lenient;
}

/** The checks that were compiled, by schema; the oldest go first. */
const checks = new Map<string, ArgumentCheck>();

/**
 * Compiles a JSON Schema of arguments (2020-12; what stands in `$schema` is passed over).
 * @param options.strict whether unknown keywords are refused: where a person writes the schema now
 * @throws {SchemaUnsupportedError} when it is too large, is no object schema, refers to what is not in it or to itself, or is
 *   no JSON Schema
 */
export function compileParameters(
  parameters: Record<string, unknown>,
  options: { readonly strict: boolean },
): ArgumentCheck {
  const { $schema: _dialect, $id: _id, ...schema } = parameters;
  if (schema.type !== 'object') throw new SchemaUnsupportedError('must have "type": "object" at its root');
  const json = JSON.stringify(schema);
  if (json.length > maxJsonLength)
    throw new SchemaUnsupportedError(`must be at most ${maxJsonLength} characters as JSON`);
  const key = `${options.strict} ${json}`;
  const known = checks.get(key);
  if (known) return known;
  const parts = countSubschemas(schema, schema, [], 0);
  const ajv = chooseAjv(options);
  try {
    const validate = compileWithinLimit(() => ajv.compile<unknown>(schema));
    return remember(key, (args) => {
      if (countParts(args, maxComparisons / parts) === null) return tooLarge;
      return matchSoon(() => (validate(args) ? null : describeErrors(validate.errors ?? [])));
    });
  } catch (error) {
    if (error instanceof PatternsTooLargeError)
      throw new SchemaUnsupportedError('must have shorter patterns, or fewer');
    const why = error instanceof Error ? error.message.replace(/\s+/g, ' ').slice(0, 300) : 'it cannot be compiled';
    throw new SchemaUnsupportedError(`is not a JSON Schema that arguments can be checked against: ${why}`);
  } finally {
    // Ajv would remember each schema for ever.
    ajv.removeSchema(schema);
  }
}

/**
 * A check that is compiled when it is first needed. Where the schema cannot be compiled it lets everything through, for
 * the tool itself to judge.
 * @param onUnfit is told so, once for a schema
 */
export function lazyCheck(parameters: Record<string, unknown>, onUnfit: (why: string) => void): ArgumentCheck {
  let check: ArgumentCheck | null = null;
  return (args) => {
    check ??= compileLeniently(parameters, onUnfit);
    return check(args);
  };
}

function compileLeniently(parameters: Record<string, unknown>, onUnfit: (why: string) => void): ArgumentCheck {
  const key = `unfit ${JSON.stringify(parameters)}`;
  const unsupported = checks.get(key);
  if (unsupported) return unsupported;
  try {
    return compileParameters(parameters, { strict: false });
  } catch (error) {
    if (!(error instanceof SchemaUnsupportedError)) throw error;
    onUnfit(error.message);
    return remember(key, () => null);
  }
}

function remember(key: string, check: ArgumentCheck): ArgumentCheck {
  if (checks.size >= keptChecks) checks.delete(checks.keys().next().value ?? '');
  checks.set(key, check);
  return check;
}

const tooLarge = 'The arguments are too large to be checked against the schema: send fewer or smaller ones.';

function matchSoon(match: () => string | null): string | null {
  try {
    return matchWithinLimit(match);
  } catch (error) {
    if (error instanceof MatchTooLongError) return tooLarge;
    throw error;
  }
}

/** How many values there are in a JSON value, itself included; null: more than `most`. By hand: it may be nested deep. */
function countParts(value: unknown, most: number): number | null {
  let count = 0;
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    count += 1;
    if (count + open.length > most) return null;
    if (typeof next === 'object' && next !== null) for (const part of Object.values(next)) open.push(part);
  }
  return count;
}

/** Keywords whose targets cannot be found by reading the schema. */
const refused = new Set(['$id', '$anchor', '$dynamicRef', '$dynamicAnchor', '$recursiveRef']);

/** Counts the subschemas with every `$ref` written out; the entries of lists (enum, required) count as well. */
function countSubschemas(node: unknown, root: unknown, through: readonly string[], depth: number): number {
  if (typeof node !== 'object' || node === null) return 0;
  if (depth > deepest)
    throw new SchemaUnsupportedError(`must not be nested deeper than ${deepest}, its references included`);
  let count = 1;
  const grow = (more: number) => {
    count += more;
    if (count > maxSubschemas) throw new SchemaUnsupportedError(`must have at most ${maxSubschemas} parts`);
  };
  if (Array.isArray(node)) {
    for (const item of node) grow(Math.max(1, countSubschemas(item, root, through, depth + 1)));
    return count;
  }
  for (const [key, value] of Object.entries(node)) {
    if (refused.has(key) && typeof value !== 'object') throw new SchemaUnsupportedError(`must not use ${key}`);
    if (key === '$ref' && typeof value === 'string') {
      if (through.includes(value)) throw new SchemaUnsupportedError(`must not refer to itself: ${value.slice(0, 100)}`);
      grow(countSubschemas(followPointer(root, value), root, [...through, value], depth + 1));
    } else if (key !== '$defs' && key !== 'definitions') {
      grow(countSubschemas(value, root, through, depth + 1));
    }
  }
  return count;
}

/** What a reference points to: a JSON pointer (RFC 6901) into the same schema. */
function followPointer(root: unknown, reference: string): unknown {
  const unsupported = new SchemaUnsupportedError(`refers to ${reference.slice(0, 100)}, which is not in it`);
  if (reference === '#') return root;
  if (!reference.startsWith('#/')) throw unsupported;
  let node = root;
  for (const step of reference.slice(2).split('/')) {
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, key)) throw unsupported;
    node = Object.entries(node).find(([name]) => name === key)?.[1];
  }
  return node;
}

function describeErrors(errors: readonly ErrorObject[]): string {
  const sentences = errors.slice(0, 3).map(({ instancePath, message, params }) => {
    const at = instancePath === '' ? 'The arguments' : `arguments${instancePath.replaceAll('/', '.')}`;
    const extra = typeof params.additionalProperty === 'string' ? `: ${params.additionalProperty.slice(0, 100)}` : '';
    const allowed = Array.isArray(params.allowedValues)
      ? `: ${JSON.stringify(params.allowedValues).slice(0, 300)}`
      : '';
    return `${at} ${message?.slice(0, 300) ?? 'do not fit'}${extra}${allowed}.`;
  });
  return `The arguments do not fit the schema. ${sentences.join(' ')}`;
}
