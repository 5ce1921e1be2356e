import { RE2JS, RE2JSException } from 're2js';

/**
 * The maximum total size of the patterns of one schema, in instructions of the matcher. Compiling this many blocks the
 * process for some tenths of a second.
 */
const maxInstructions = 20_000;
/** The maximum of instructions × characters over all matches of one check: some tenths of a second in the worst case. */
const maxSteps = 50_000_000;

/** The patterns of a schema are too large to be compiled. */
export class PatternsTooLargeError extends Error {
  override readonly name = 'PatternsTooLargeError';
}

/** The texts of a check are too long for the patterns of the schema. */
export class MatchTooLongError extends Error {
  override readonly name = 'MatchTooLongError';
}

// The rest of the limits of the current compilation or match: both are synchronous, so there is never more than one.
let instructionsLeft = 0;
let stepsLeft = 0;

/**
 * Calls `compile` with a limit on the size of all patterns that it compiles.
 * @throws {PatternsTooLargeError} if they are larger
 */
export function compileWithinLimit<T>(compile: () => T): T {
  instructionsLeft = maxInstructions;
  return compile();
}

/**
 * Calls `match` with a limit on the work of all its matches.
 * @throws {MatchTooLongError} if they need more
 */
export function matchWithinLimit<T>(match: () => T): T {
  stepsLeft = maxSteps;
  return match();
}

/** A compiled pattern. */
export interface Pattern {
  test(text: string): boolean;
  toString(): string;
}

/**
 * Compiles a pattern of a JSON Schema for RE2, whose time is linear in the length of the text. With JavaScript's own
 * engine, a tenant's pattern on a model's text can block the whole process
 * (https://swtch.com/~rsc/regexp/regexp1.html). Patterns that RE2 cannot express (lookaround, back references) are not
 * enforced: any text passes, and only the model sees the pattern.
 *
 * @throws {SyntaxError} if it is not a pattern of ECMA-262, the dialect of JSON Schema
 * @throws {PatternsTooLargeError} see compileWithinLimit
 */
export function compilePattern(pattern: string): Pattern {
  const spelled = new RegExp(pattern, 'u');
  // Ajv identifies a pattern by its text.
  const spell = () => String(spelled);
  const compiled = compileForRe2(pattern);
  if (compiled === null) return { test: () => true, toString: spell };
  const size = compiled.programSize();
  instructionsLeft -= size;
  if (instructionsLeft < 0) throw new PatternsTooLargeError('The patterns are too large.');
  const test = (text: string) => {
    stepsLeft -= size * text.length;
    if (stepsLeft < 0) throw new MatchTooLongError('The texts are too long for their patterns.');
    return compiled.test(text);
  };
  return { test, toString: spell };
}

function compileForRe2(pattern: string): RE2JS | null {
  try {
    return RE2JS.compile(RE2JS.translateRegExp(pattern));
  } catch (error) {
    if (error instanceof RE2JSException) return null;
    throw error;
  }
}
