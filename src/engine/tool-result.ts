import { cleanText } from './text.ts';

/**
 * Makes a tool's result fit for the model and for a JSON column: serialisable, without what PostgreSQL cannot hold, no
 * longer than `maxLength` characters as JSON, and not nested deeper than 100: beyond either it is given as text, cut.
 * @returns `output` for the model, `result` for people
 */
export function boundResult(value: unknown, maxLength: number): { output: string; result: unknown } {
  let json: string;
  try {
    json = JSON.stringify(value) ?? 'null';
  } catch {
    const note = 'The tool answered something that is not JSON.';
    return { output: JSON.stringify({ error: note }), result: { error: note } };
  }
  if (isNestedTooDeep(json)) return asText(json, maxLength);
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
 * The beginning of a text as a result that says that it was cut, and is no longer than `maxLength` characters as JSON:
 * the longest that fits. Where not even its frame does, an empty one.
 * @param about what else it says
 */
export function cutAnswer(
  text: string,
  maxLength: number,
  about: Readonly<Record<string, unknown>> = {},
): { readonly truncated: true; readonly text: string } {
  const cut = (length: number) => ({ truncated: true as const, ...about, text: cleanText(text.slice(0, length)) });
  // Quotes, line ends and control characters are longer as JSON: it is looked for by halves.
  let fits = 0;
  let tooLong = Math.min(text.length, maxLength) + 1;
  while (tooLong - fits > 1) {
    const middle = Math.floor((fits + tooLong) / 2);
    if (JSON.stringify(cut(middle)).length <= maxLength) fits = middle;
    else tooLong = middle;
  }
  return cut(fits);
}

const deepest = 100;

/** Whether lists and objects stand deeper in each other than anything that walks them should have to go. */
function isNestedTooDeep(json: string): boolean {
  let depth = 0;
  let inText = false;
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (inText) {
      if (character === '\\') at += 1;
      else if (character === '"') inText = false;
    } else if (character === '"') inText = true;
    else if (character === '[' || character === '{') {
      depth += 1;
      if (depth > deepest) return true;
    } else if (character === ']' || character === '}') depth -= 1;
  }
  return false;
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
