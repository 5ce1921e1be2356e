import { z } from 'zod';
import { BadUserInputError } from './errors.ts';

/** Where in the arguments a value stood, e.g. `['input', 'attachments', 0, 'url']`. */
export type InputPath = readonly (string | number)[];

/**
 * The value as the schema describes it.
 * @param path where in the arguments the value stood
 * @throws {BadUserInputError} naming the first field that is wrong and what it must be
 */
export function parseInput<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  path: InputPath,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const at = [...path, ...(issue?.path ?? []).map((step) => (typeof step === 'number' ? step : String(step)))];
  throw badInput(at, issue?.message ?? 'is invalid');
}

/** An error that names the field: `input.title must be …`. */
export function badInput(path: InputPath, what: string): BadUserInputError {
  const sentence = /^(must|is|has|cannot|names|needs)\b/.test(what)
    ? `${path.join('.')} ${what}`
    : `${path.join('.')}: ${what}`;
  return new BadUserInputError(sentence.endsWith('.') ? sentence : `${sentence}.`, path);
}

/** How many characters (code points, as PostgreSQL's char_length counts them) a well-formed text has. */
function countCharacters(value: string): number {
  let count = 0;
  for (const _ of value) count += 1;
  return count;
}

/**
 * A text of `min` to `max` characters (code points). U+0000, which PostgreSQL cannot store, and lone surrogates,
 * which UTF-8 cannot carry, are refused by name.
 */
export function text(min: number, max: number) {
  return z.string({ error: 'must be a string' }).superRefine((value, context) => {
    const refuse = (message: string) => context.addIssue({ code: 'custom', message });
    const unsupported = findUnfit(value);
    if (unsupported !== null) return refuse(unsupported);
    const length = countCharacters(value);
    if (length < min || length > max)
      refuse(`must be ${range(min, max)} characters long, and it has ${grouped(length)}`);
  });
}

/** The name of a model. Some providers have it in the path of the URL, where . and .. would lead elsewhere. */
export const modelName = text(1, 200).refine((name) => !/^\.{1,2}$/.test(name), 'must not be . or ..');

/** What PostgreSQL could not store of a text; null where it can. */
function findUnfit(value: string): string | null {
  if (value.includes('\u0000')) return 'must not contain the character U+0000';
  return value.isWellFormed() ? null : 'must be well-formed Unicode: it contains a lone surrogate';
}

/** An integer from `min` to `max`. */
export function integer(min: number, max: number) {
  const message = `must be an integer from ${grouped(min)} to ${grouped(max)}`;
  return z
    .number({ error: message })
    .refine((value) => Number.isInteger(value) && value >= min && value <= max, message);
}

/** A finite number from `min` to `max`. */
export function decimal(min: number, max: number) {
  const message = `must be a number from ${min} to ${max}`;
  return z.number({ error: message }).refine((value) => value >= min && value <= max, message);
}

/** A list of at most `max` items. */
export function list<Item extends z.ZodType>(item: Item, max: number) {
  return z
    .array(item, { error: 'must be a list' })
    .max(max, { error: `must have at most ${grouped(max)} items`, abort: true });
}

function range(min: number, max: number): string {
  return `${grouped(min)} to ${grouped(max)}`;
}

function grouped(value: number): string {
  return value.toLocaleString('en-US');
}

const maxJsonDepth = 100;

/**
 * A JSON value as it comes in a variable, that PostgreSQL can hold: its texts and keys as `text` has them, nested at
 * most 100 deep, and at most `max` characters long when it is written out.
 */
export function json(max: number) {
  return z.unknown().superRefine((value, context) => {
    const refuse = (message: string) => context.addIssue({ code: 'custom', message });
    // By hand and not by recursion: what is nested a million deep is refused, it does not end the process.
    const open: { readonly value: unknown; readonly depth: number }[] = [{ value, depth: 0 }];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (next.depth > maxJsonDepth) return refuse(`must not be nested deeper than ${maxJsonDepth}`);
      const entry = next.value;
      if (typeof entry === 'string') {
        const unsupported = findUnfit(entry);
        if (unsupported !== null) return refuse(unsupported);
      } else if (typeof entry === 'number') {
        if (!Number.isFinite(entry)) return refuse('must hold finite numbers only');
      } else if (typeof entry === 'object' && entry !== null) {
        const depth = next.depth + 1;
        if (Array.isArray(entry)) for (const item of entry) open.push({ value: item, depth });
        else for (const pair of Object.entries(entry)) for (const item of pair) open.push({ value: item, depth });
      }
    }
    const length = JSON.stringify(value)?.length ?? 0;
    if (length > max) refuse(`must be at most ${grouped(max)} characters long as JSON, and it has ${grouped(length)}`);
  });
}
