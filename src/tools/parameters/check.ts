import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { LRUCache } from 'lru-cache';
import { countValues, invalidArguments, readArguments } from './arguments.ts';
import { writeCanonically } from './canonical-json.ts';
import { coerceArguments } from './coerce.ts';
import {
  compilePattern,
  compileWithinLimit,
  MatchTooLongError,
  matchWithinLimit,
  PatternsTooLargeError,
} from './patterns.ts';
import { countSubschemas, maxJsonLength, SchemaUnsupportedError } from './schema-bounds.ts';

/**
 * The most subschemas times values of the arguments: in the worst case each value is checked against each subschema. So
 * many take some tenths of a second, during which the process does nothing else.
 */
const maxComparisons = 5_000_000;

/** The most rounds of changing arguments that nearly fit: Ajv tells of one thing that is wrong at a time. */
const maxCoercions = 16;

type Arguments = Readonly<Record<string, unknown>>;

/** Arguments that fit the schema, or why they do not, in a sentence for the model. */
type CheckedArguments = { readonly args: Arguments } | { readonly error: string };

/**
 * Checks arguments against a schema. Those that nearly fit are returned as they should have been: see coerceArguments.
 */
export type ArgumentCheck = (args: Arguments) => CheckedArguments;

/** After so many schemas a new Ajv is created: an Ajv keeps parts of every schema that it has compiled. */
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
  // Ajv's own compares each item with each other one.
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

let [strict, lenient] = [createAjv(true), createAjv(false)];
let compiled = 0;

function chooseAjv(options: { readonly strict: boolean }): Ajv2020 {
  compiled += 1;
  if (compiled % maxSchemas === 0) [strict, lenient] = [createAjv(true), createAjv(false)];
  return options.strict ? strict : lenient;
}

/** The checks that were compiled, by schema. */
const checks = new LRUCache<string, ArgumentCheck>({ max: 500 });

/**
 * Compiles a JSON Schema of arguments (2020-12; `$schema` is ignored).
 * @param options.strict whether unknown keywords are refused: yes if a person writes the schema now
 * @throws {SchemaUnsupportedError} when it is too large, is not an object schema, refers to something that is not in it or
 *   to itself, or is not a JSON Schema
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
  const subschemas = countSubschemas(schema);
  const ajv = chooseAjv(options);
  try {
    const validate = compileWithinLimit(() => ajv.compile<unknown>(schema));
    const check: ArgumentCheck = (args) => {
      if (countValues(args, maxComparisons / subschemas) === null) return { error: tooLarge };
      const mayCoerce = countValues(args, maxComparisons / maxCoercions / subschemas) !== null;
      return checkInTime(() => coerceUntilFit(args, validate, mayCoerce ? maxCoercions : 0));
    };
    checks.set(key, check);
    return check;
  } catch (error) {
    if (error instanceof PatternsTooLargeError)
      throw new SchemaUnsupportedError('must have shorter patterns, or fewer');
    const why = error instanceof Error ? error.message.replace(/\s+/g, ' ').slice(0, 300) : 'it cannot be compiled';
    throw new SchemaUnsupportedError(`is not a JSON Schema that arguments can be checked against: ${why}`);
  } finally {
    // Ajv would keep each schema for ever.
    ajv.removeSchema(schema);
  }
}

/**
 * A check that is compiled when it is first needed. If the schema cannot be compiled, all arguments pass: the tool itself
 * has to judge them.
 * @param onUnsupported is called once for such a schema, with the reason
 */
export function lazyCheck(parameters: Record<string, unknown>, onUnsupported: (why: string) => void): ArgumentCheck {
  let check: ArgumentCheck | null = null;
  return (args) => {
    check ??= compileLeniently(parameters, onUnsupported);
    return check(args);
  };
}

/** Why arguments do not fit a schema, for the model; null: they do, or the schema cannot be compiled. */
export function explainMisfit(parameters: Record<string, unknown>, args: unknown): string | null {
  const read = readArguments(args);
  if (read === null) return invalidArguments;
  const checked = compileLeniently(parameters, () => {})(read);
  return 'error' in checked ? checked.error : null;
}

function compileLeniently(parameters: Record<string, unknown>, onUnsupported: (why: string) => void): ArgumentCheck {
  const key = `unsupported ${JSON.stringify(parameters)}`;
  const unsupported = checks.get(key);
  if (unsupported) return unsupported;
  try {
    return compileParameters(parameters, { strict: false });
  } catch (error) {
    if (!(error instanceof SchemaUnsupportedError)) throw error;
    onUnsupported(error.message);
    const acceptAll: ArgumentCheck = (args) => ({ args });
    checks.set(key, acceptAll);
    return acceptAll;
  }
}

const tooLarge = 'The arguments are too large to be checked against the schema: send fewer or smaller ones.';

function checkInTime(check: () => CheckedArguments): CheckedArguments {
  try {
    return matchWithinLimit(check);
  } catch (error) {
    if (error instanceof MatchTooLongError) return { error: tooLarge };
    throw error;
  }
}

function coerceUntilFit(args: Arguments, validate: ValidateFunction<unknown>, maxRounds: number): CheckedArguments {
  if (validate(args)) return { args };
  const error = describeErrors(validate.errors ?? []);
  let coerced: unknown = args;
  for (let round = 0; round < maxRounds; round++) {
    coerced = coerceArguments(coerced, validate.errors ?? []);
    if (typeof coerced !== 'object' || coerced === null) break;
    if (validate(coerced)) return { args: { ...coerced } };
  }
  // What was sent is what the model is told of.
  return { error };
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
