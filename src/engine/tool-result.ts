import { cleanText } from './text.ts';

/**
 * Makes a tool's result fit for the model and for a JSON column: serialisable, without what PostgreSQL cannot hold,
 * and no longer than `maxLength` characters.
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
  // JSON.stringify writes a lone surrogate and U+0000 as escapes, which jsonb refuses; whole text passes unchanged.
  const hasUnfit = /\\u(?:0000|d[89a-f][0-9a-f]{2})/i.test(json);
  if (json.length <= maxLength && !hasUnfit) return { output: json, result: JSON.parse(json) };
  const clean: unknown = JSON.parse(json, hasUnfit ? cleanEntry : undefined);
  const output = JSON.stringify(clean);
  if (output.length <= maxLength) return { output, result: clean };
  const cut = cleanText(output.slice(0, maxLength));
  const result = { truncated: true, characters: output.length, text: cut };
  return { output: JSON.stringify(result), result };
}

function cleanEntry(_key: string, entry: unknown): unknown {
  if (typeof entry === 'string') return cleanText(entry);
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return entry;
  return Object.fromEntries(Object.entries(entry).map(([key, value]) => [cleanText(key), value]));
}
