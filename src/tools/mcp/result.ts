import { z } from 'zod';
import { parseExactJson } from '../../engine/exact-json.ts';
import type { ToolOutcome } from '../../engine/ports.ts';
import { cutAnswer } from '../../engine/tool-result.ts';
import { hideInText } from '../contract/redact.ts';

/** The result of tools/call, less strict than the SDK's schema: content of an unknown kind is described to the model. */
export const callResult = z.looseObject({
  content: z.array(z.looseObject({ type: z.string() })).default([]),
  structuredContent: z.record(z.string(), z.unknown()).optional(),
  isError: z.boolean().optional(),
});

/**
 * Returns the answer of an MCP tool as JSON: structured content unchanged, text as text, and a description of anything
 * else. Texts that are longer than the model can get are cut first, so that no later step processes all of them.
 * @param maxLength the maximum number of characters of the answer that the model gets
 * @param secrets values of which no part may remain where a text is cut; whole values are removed later
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
 * Structured content is parsed together with its message, which rounds very long whole numbers. Servers send the same
 * content as text too (MCP 2025-06-18, "Structured Content"): if that text has such a number, it is used instead.
 */
function findExact(content: z.output<typeof callResult>['content'], structured: Record<string, unknown>): unknown {
  for (const { type, text } of content) {
    if (type !== 'text' || typeof text !== 'string') continue;
    try {
      const { value, inexact } = parseExactJson(text);
      if (inexact !== null && JSON.stringify(JSON.parse(text)) === JSON.stringify(structured)) return value;
    } catch {
      // The text is not a copy of the structured content.
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

/** Returns the JSON object or list that a text contains, else the text, or its beginning if it is too long. */
function readText(text: string, bounds: TextBounds): unknown {
  // JSON may contain white space, which does not count.
  if (/^\s*[[{]/.test(text) && text.length <= Math.max(65_536, bounds.maxLength * 4)) {
    try {
      return parseExactJson(text).value;
    } catch {
      // It only looks like JSON.
    }
  }
  const shortened = shortenText(text, bounds);
  return 'truncated' in shortened ? shortened : text;
}

/** Returns a text, or its beginning if it is too long, without the secrets. */
function shortenText(
  text: string,
  { maxLength, secrets }: TextBounds,
): { text: string } | { truncated: true; text: string } {
  // The cut may split a secret, and each of its characters may be an escape of seven characters (`\\u00e9`).
  const margin = 7 * Math.max(0, ...secrets.map(({ length }) => length));
  if (text.length <= maxLength + margin) return { text };
  const begun = hideInText(text.slice(0, maxLength + margin), secrets);
  return cutAnswer(begun.slice(0, begun.length - margin), maxLength);
}

function shorten(value: unknown): string | null {
  return typeof value === 'string' ? value.slice(0, 500) : null;
}

/** Padding is counted from the end: a pattern for it would look for it from every place of a text that is full of it. */
function sizeOfBase64(data: unknown): number | null {
  if (typeof data !== 'string') return null;
  let length = data.length;
  while (length > 0 && data[length - 1] === '=') length -= 1;
  return Math.floor((length * 3) / 4);
}
