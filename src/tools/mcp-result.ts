import { z } from 'zod';
import type { ToolOutcome } from '../engine/ports.ts';

/** The result of tools/call, looser than the SDK's own: a content of a kind that is not known is described. */
export const callResult = z.looseObject({
  content: z.array(z.looseObject({ type: z.string() })).default([]),
  structuredContent: z.record(z.string(), z.unknown()).optional(),
  isError: z.boolean().optional(),
});

/** What an MCP tool answered, as JSON: structured content as it is, text as text, what is neither described. */
export function readCallResult({ content, structuredContent, isError }: z.output<typeof callResult>): ToolOutcome {
  if (isError === true) {
    const said = content.flatMap((part) => (typeof part.text === 'string' ? [part.text] : [])).join('\n');
    return { ok: false, error: said.trim() || 'The tool failed.' };
  }
  if (structuredContent !== undefined) return { ok: true, result: structuredContent };
  const parts = content.map(describePart);
  return { ok: true, result: parts.length > 1 ? parts : (parts[0] ?? null) };
}

function describePart(part: { readonly type: string; readonly [key: string]: unknown }): unknown {
  const { type } = part;
  switch (type) {
    case 'text':
      return readText(part.text);
    case 'image':
    case 'audio':
      return { type, mimeType: shorten(part.mimeType), bytes: sizeOfBase64(part.data), note: 'It is not shown here.' };
    case 'resource_link':
      return { type, uri: shorten(part.uri), name: shorten(part.name), mimeType: shorten(part.mimeType) };
    case 'resource': {
      const resource = z.looseObject({}).safeParse(part.resource).data ?? {};
      const of = { type, uri: shorten(resource.uri), mimeType: shorten(resource.mimeType) };
      if (typeof resource.text === 'string') return { ...of, text: resource.text };
      return { ...of, bytes: sizeOfBase64(resource.blob), note: 'It is not shown here.' };
    }
    default:
      return { type: shorten(type), note: 'It is not shown here.' };
  }
}

/** A text; where it is a JSON object or list, that. */
function readText(text: unknown): unknown {
  if (typeof text !== 'string') return null;
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function shorten(value: unknown): string | null {
  return typeof value === 'string' ? value.slice(0, 500) : null;
}

function sizeOfBase64(data: unknown): number | null {
  return typeof data === 'string' ? Math.floor((data.replace(/=+$/, '').length * 3) / 4) : null;
}
