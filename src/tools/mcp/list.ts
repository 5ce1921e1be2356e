import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { z } from 'zod';
import { hideInJson, hideInText } from '../contract/redact.ts';
import { maxJsonLength } from '../parameters/schema-bounds.ts';

/** A tool as an MCP server lists it. */
export interface ListedTool {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: Record<string, unknown>;
  /** Whether the server says that a call may be repeated: it changes nothing, or repeating it does. */
  readonly isIdempotent: boolean;
}

/** A list that was read. */
export interface ToolList {
  readonly tools: readonly ListedTool[];
  /** How many were not taken: over the number, too large, or not usable. */
  readonly left: number;
  /** Of those, the names of the first whose schemas are too large or nested too deep. */
  readonly unsupported: readonly string[];
}

/** Tools that are taken of one server. */
export const maxTools = 500;
const maxPages = 100;
const maxDescriptionLength = 2_000;
/** How deep a schema may be nested: what walks it does so by calling itself. */
const deepest = 100;
const maxNamed = 20;
const maxNamedLength = 100;
const listTimeoutMs = 10_000;

/** Looser than the SDK's own: one tool that is odd must not take the others with it. */
const page = z.looseObject({ tools: z.array(z.unknown()), nextCursor: z.string().max(4_096).nullish() });
const listedTool = z.looseObject({
  name: z.string().min(1).max(256),
  description: z.string().nullish(),
  inputSchema: z.looseObject({ type: z.literal('object') }),
  annotations: z
    .looseObject({ readOnlyHint: z.boolean(), idempotentHint: z.boolean() })
    .partial()
    .nullish()
    .catch(null),
  execution: z.looseObject({ taskSupport: z.string().optional() }).nullish(),
});

/**
 * Reads the tools of a server, page by page, as far as they can be used: at most 500 tools of at most 100 pages.
 * @param secrets what is taken out of descriptions and schemas, in case the server sends back what it was sent
 * @throws what the client throws
 */
export async function readToolList(client: Client, signal: AbortSignal, secrets: readonly string[]): Promise<ToolList> {
  // A server without tools is not asked for them.
  if (!client.getServerCapabilities()?.tools) return { tools: [], left: 0, unsupported: [] };
  const tools = new Map<string, ListedTool>();
  const unsupported: string[] = [];
  const cursors = new Set<string>();
  let left = 0;
  let cursor: string | undefined;
  for (let pages = 0; pages < maxPages; pages++) {
    const params = cursor === undefined ? {} : { cursor };
    const answer = await client.request({ method: 'tools/list', params }, page, { signal, timeout: listTimeoutMs });
    for (const entry of answer.tools) {
      const tool = tools.size < maxTools ? readTool(entry, secrets) : null;
      if (tool === null || 'unsupported' in tool || tools.has(tool.name)) left += 1;
      else tools.set(tool.name, tool);
      if (tool !== null && 'unsupported' in tool && unsupported.length < maxNamed) unsupported.push(tool.unsupported);
    }
    cursor = answer.nextCursor ?? undefined;
    if (cursor === undefined || tools.size >= maxTools || cursors.has(cursor)) break;
    cursors.add(cursor);
  }
  // In an order of their own, so that names stay the same whatever the server's order is.
  const sorted = [...tools.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  return { tools: sorted, left, unsupported };
}

/** An entry of a list; null where it cannot be used, or asks for what this client does not do (tasks). */
function readTool(entry: unknown, secrets: readonly string[]): ListedTool | { readonly unsupported: string } | null {
  const parsed = listedTool.safeParse(entry);
  if (!parsed.success || parsed.data.execution?.taskSupport === 'required') return null;
  const { name } = parsed.data;
  const unsupported = { unsupported: hideInText(name, secrets).slice(0, maxNamedLength).toWellFormed() };
  if (isNestedDeeper(parsed.data.inputSchema, deepest)) return unsupported;
  const description = hideInText(parsed.data.description ?? '', secrets);
  const inputSchema = z.record(z.string(), z.unknown()).parse(hideInJson(parsed.data.inputSchema, secrets));
  if (JSON.stringify(inputSchema).length > maxJsonLength) return unsupported;
  // idempotentHint means something only if the tool changes anything (MCP 2025-06-18, ToolAnnotations).
  const { readOnlyHint, idempotentHint } = parsed.data.annotations ?? {};
  const isIdempotent = readOnlyHint === true || idempotentHint === true;
  return { name, description: description.slice(0, maxDescriptionLength).toWellFormed(), inputSchema, isIdempotent };
}

/** Whether lists and objects stand deeper in each other than so many levels; it goes no deeper to find out. */
function isNestedDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isNestedDeeper(inner, levels - 1));
}
