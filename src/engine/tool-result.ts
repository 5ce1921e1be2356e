import { isDeeperThan } from './json.ts';
import { cleanText } from './text.ts';

/** Nothing that walks a result has to go deeper than this. */
const maxDepth = 100;

/**
 * Makes a tool's result fit for the model and for a JSON column: serialisable, and without what PostgreSQL cannot store.
 * A result that is longer than `maxLength` characters as JSON, or nested deeper than 100, is cut and passed on as text.
 * @returns `output` for the model, `result` for people
 */
export function boundResult(value: unknown, maxLength: number): { output: string; result: unknown } {
  let json: string;
  try {
    json = JSON.stringify(value) ?? 'null';
  } catch {
    const note = 'The tool returned a value that is not JSON.';
    return { output: JSON.stringify({ error: note }), result: { error: note } };
  }
  if (isDeeperThan(json, maxDepth)) return asText(json, maxLength);
  if (json.length <= maxLength && !unsupported.test(json)) return { output: json, result: JSON.parse(json) };
  const clean = cleanJson(json);
  const output = JSON.stringify(clean);
  return output.length <= maxLength ? { output, result: clean } : asText(output, maxLength);
}

function asText(json: string, maxLength: number): { output: string; result: unknown } {
  const result = cutAnswer(json, maxLength, { characters: json.length });
  return { output: JSON.stringify(result), result };
}

/**
 * The beginning of a text, as a result that says that it was cut. It is the longest beginning that makes at most
 * `maxLength` characters as JSON, and empty if even the fields around it are longer.
 * @param about further fields of the result
 */
export function cutAnswer(
  text: string,
  maxLength: number,
  about: Readonly<Record<string, unknown>> = {},
): { readonly truncated: true; readonly text: string } {
  const cut = (length: number) => ({ truncated: true as const, ...about, text: cleanText(text.slice(0, length)) });
  // Quotes, line ends and control characters are longer as JSON, so the length is found by bisection.
  let fits = 0;
  let tooLong = Math.min(text.length, maxLength) + 1;
  while (tooLong - fits > 1) {
    const middle = Math.floor((fits + tooLong) / 2);
    if (JSON.stringify(cut(middle)).length <= maxLength) fits = middle;
    else tooLong = middle;
  }
  return cut(fits);
}

/** What JSON.stringify writes as escapes and jsonb refuses: lone surrogates and U+0000. */
const unsupported = /\\u(?:0000|d[89a-f][0-9a-f]{2})/i;

/**
 * Parses JSON into what a JSON column can hold.
 * @throws {SyntaxError} when it is not JSON
 */
export function cleanJson(json: string): unknown {
  return JSON.parse(json, unsupported.test(json) ? cleanEntry : undefined);
}

function cleanEntry(_key: string, entry: unknown): unknown {
  if (typeof entry === 'string') return cleanText(entry);
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return entry;
  return Object.fromEntries(Object.entries(entry).map(([key, value]) => [cleanText(key), value]));
}
