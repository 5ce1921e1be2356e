import { RE2JS, RE2JSException } from 're2js';

/**
 * How large the patterns of one schema may be together, in instructions of the matcher: as many as are compiled within
 * some tenths of a second, in which nothing else is done.
 */
const maxInstructions = 20_000;
/** Instructions times characters, over all matches of one check: some tenths of a second in the worst case. */
const maxSteps = 50_000_000;

/** The patterns of a schema are too large to be compiled. */
export class PatternsTooLargeError extends Error {
  override readonly name = 'PatternsTooLargeError';
}

/** The texts of a check are too long for the patterns that they are matched with. */
export class MatchTooLongError extends Error {
  override readonly name = 'MatchTooLongError';
}

// What is left to what is being compiled or matched just now: both are synchronous, so there is never more than one.
let instructionsLeft = 0;
let stepsLeft = 0;

/**
 * Lets `compile` compile patterns, all together within the limit.
 * @throws {PatternsTooLargeError} beyond it
 */
export function compileWithinLimit<T>(compile: () => T): T {
  instructionsLeft = maxInstructions;
  return compile();
}

/**
 * Lets `match` match texts, all together within the limit.
 * @throws {MatchTooLongError} beyond it
 */
export function matchWithinLimit<T>(match: () => T): T {
  stepsLeft = maxSteps;
  return match();
}

/** A pattern that texts can be matched with. */
export interface Pattern {
  test(text: string): boolean;
  toString(): string;
}

/**
 * Compiles a pattern of a JSON Schema for RE2's engine, whose time grows with the text and nothing else: with
 * JavaScript's own, an expression that somebody wrote, over a text that a model wrote, can stand the whole process
 * still (https://swtch.com/~rsc/regexp/regexp1.html). What RE2 does not have (lookaround, back references) is left to
 * the model, which is shown the pattern: any text passes.
 *
 * @throws {SyntaxError} where it is no pattern of ECMA-262, whose dialect JSON Schema names
 * @throws {PatternsTooLargeError} see compileWithinLimit
 */
export function compilePattern(pattern: string): Pattern {
  const spelled = new RegExp(pattern, 'u');
  // Ajv tells patterns apart by what they look like.
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
