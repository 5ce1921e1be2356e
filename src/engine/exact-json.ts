/** A JSON text, parsed without rounding any of its whole numbers. */
export interface ExactJson {
  /** The parsed value. A number that JavaScript cannot hold exactly is a string of its digits. */
  readonly value: unknown;
  /** The first such number as it was written; null: the text has none. */
  readonly inexact: string | null;
}

/** Only a text that matches can hold an inexact number: all others are parsed without looking at each value. */
const suspicious = /\d{16}|\de\+?\d/i;

/**
 * Parses JSON without rounding whole numbers. JSON.parse reads the id 1234567890123456789 as 1234567890123456800, which
 * is the id of another record. Here such a number becomes a string.
 * @throws {SyntaxError} if it is not JSON
 * @throws {RangeError} if it holds such a number and is nested thousands of levels deep
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
 * Whether JavaScript reads a number as it was written: a whole number to the last digit, any other within its range.
 * Fractions are rounded in every system.
 * @param literal a number of JSON or GraphQL (ECMA-404, section 8), e.g. `-12`, `0.5`, `1e9`
 */
export function isExactNumber(literal: string): boolean {
  const value = Number(literal);
  if (!Number.isFinite(value)) return false;
  return !/^-?\d+$/.test(literal) || String(value) === literal || literal === '-0';
}

/** Whether a number that was parsed elsewhere may have been rounded: it is whole, and too large to be exact. */
export function mayBeRounded(value: unknown): boolean {
  // From 1e21 on it is written with an exponent, so nothing takes it for an id.
  return Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(Number(value)) < 1e21;
}
