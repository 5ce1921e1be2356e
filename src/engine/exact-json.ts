/** A JSON text that was read without rounding any of its whole numbers. */
export interface ExactJson {
  /** What it says; a number that JavaScript cannot hold stands in it as the text of its digits. */
  readonly value: unknown;
  /** The first such number, as it was written; null: there is none. */
  readonly inexact: string | null;
}

/** Only what has one of these can hold an inexact number: all others are read at once, without looking at each value. */
const suspicious = /\d{16}|\de\+?\d/i;

/**
 * Parses JSON. JSON.parse reads 1234567890123456789, which other systems have as an id, as 1234567890123456800: another
 * record. Here it stays as it is, as a text.
 * @throws {SyntaxError} when it is not JSON
 * @throws {RangeError} when it holds such digits and is nested thousands deep
 */
export function parseExactJson(json: string): ExactJson {
  if (!suspicious.test(json)) return { value: JSON.parse(json), inexact: null };
  let inexact: string | null = null;
  const keepDigits = (_key: string, value: unknown, context?: { readonly source?: string }): unknown => {
    const literal = context?.source;
    if (typeof value !== 'number' || literal === undefined || isExactNumber(literal)) return value;
    inexact ??= literal;
    return literal;
  };
  return { value: JSON.parse(json, keepDigits), inexact };
}

/**
 * Whether JavaScript reads a number as it was written: a whole one to the last digit, any other within its range.
 * Fractions are rounded everywhere.
 * @param literal a number of JSON or GraphQL (ECMA-404, section 8), e.g. `-12`, `0.5`, `1e9`
 */
export function isExactNumber(literal: string): boolean {
  const value = Number(literal);
  if (!Number.isFinite(value)) return false;
  return !/^-?\d+$/.test(literal) || String(value) === literal || literal === '-0';
}

/** Whether a number that was parsed elsewhere may have been another one: whole, and beyond what is held exactly. */
export function mayBeRounded(value: unknown): boolean {
  // From 1e21 on it is written with an exponent: nothing takes that for an id.
  return Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(Number(value)) < 1e21;
}
