import { z } from 'zod';
import { parseExactJson } from '../../engine/exact-json.ts';
import type { ToolOutcome } from '../../engine/ports.ts';
import { cutAnswer } from '../../engine/tool-result.ts';
import { hideInText } from '../contract/redact.ts';

/** The result of tools/call, looser than the SDK's own: a content of a kind that is not known is described. */
export const callResult = z.looseObject({
  content: z.array(z.looseObject({ type: z.string() })).default([]),
  structuredContent: z.record(z.string(), z.unknown()).optional(),
  isError: z.boolean().optional(),
});

/**
 * What an MCP tool answered, as JSON: structured content as it is, text as text, what is neither described. Texts that are
 * longer than what can be shown of them are cut first, so that nothing has to go through all of them.
 * @param maxLength the most characters of the answer that a model is given
 * @param secrets what must not be left of in part where a text is cut; all of it is taken out later
 */
export function readCallResult(
  { content, structuredContent, isError }: z.output<typeof callResult>,
  maxLength: number,
  secrets: readonly string[],
): ToolOutcome {
  if (isError === true) {
    const said = content.flatMap((part) => (typeof part.text === 'string' ? [part.text] : [])).join('\n');
    return { ok: false, error: said.trim() || 'The tool failed.' };
  }
  if (structuredContent !== undefined) return { ok: true, result: findExact(content, structuredContent) };
  const parts = content.map((part) => describePart(part, { maxLength, secrets }));
  return { ok: true, result: parts.length > 1 ? parts : (parts[0] ?? null) };
}

/**
 * Structured content was parsed with its message, and rounded where its whole numbers are too long. Servers send it as a
 * text as well (MCP 2025-06-18, "Structured Content"): where that holds such a number, it is read instead.
 */
function findExact(content: z.output<typeof callResult>['content'], structured: Record<string, unknown>): unknown {
  for (const { type, text } of content) {
    if (type !== 'text' || typeof text !== 'string') continue;
    try {
      const { value, inexact } = parseExactJson(text);
      if (inexact !== null && JSON.stringify(JSON.parse(text)) === JSON.stringify(structured)) return value;
    } catch {
      // It is another text.
    }
  }
  return structured;
}

interface TextBounds {
  readonly maxLength: number;
  readonly secrets: readonly string[];
}

function describePart(part: { readonly type: string; readonly [key: string]: unknown }, bounds: TextBounds): unknown {
  const { type } = part;
  switch (type) {
    case 'text':
      return typeof part.text === 'string' ? readText(part.text, bounds) : null;
    case 'image':
    case 'audio':
      return { type, mimeType: shorten(part.mimeType), bytes: sizeOfBase64(part.data), note: 'It is not shown here.' };
    case 'resource_link':
      return { type, uri: shorten(part.uri), name: shorten(part.name), mimeType: shorten(part.mimeType) };
    case 'resource': {
      const resource = z.looseObject({}).safeParse(part.resource).data ?? {};
      const of = { type, uri: shorten(resource.uri), mimeType: shorten(resource.mimeType) };
      if (typeof resource.text === 'string') return { ...of, ...shortenText(resource.text, bounds) };
      return { ...of, bytes: sizeOfBase64(resource.blob), note: 'It is not shown here.' };
    }
    default:
      return { type: shorten(type), note: 'It is not shown here.' };
  }
}

/** A text; where it is a JSON object or list, that; where it is too long, its beginning. */
function readText(text: string, bounds: TextBounds): unknown {
  // What is parsed may be written with blanks that are not counted.
  if (/^\s*[[{]/.test(text) && text.length <= Math.max(65_536, bounds.maxLength * 4)) {
    try {
      return parseExactJson(text).value;
    } catch {
      // It only looks like it.
    }
  }
  const shortened = shortenText(text, bounds);
  return 'truncated' in shortened ? shortened : text;
}

/** A text, or the beginning of one that is too long to be shown, without the secrets. */
function shortenText(
  text: string,
  { maxLength, secrets }: TextBounds,
): { text: string } | { truncated: true; text: string } {
  // A secret at the end may be there in part; each of its characters may be written as an escape of seven (`\\u00e9`).
  const margin = 7 * Math.max(0, ...secrets.map(({ length }) => length));
  if (text.length <= maxLength + margin) return { text };
  const begun = hideInText(text.slice(0, maxLength + margin), secrets);
  return cutAnswer(begun.slice(0, begun.length - margin), maxLength);
}

function shorten(value: unknown): string | null {
  return typeof value === 'string' ? value.slice(0, 500) : null;
}

function sizeOfBase64(data: unknown): number | null {
  return typeof data === 'string' ? Math.floor((data.replace(/=+$/, '').length * 3) / 4) : null;
}
