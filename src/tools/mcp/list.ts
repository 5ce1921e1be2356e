import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { z } from 'zod';
import { hideInJson, hideInText } from '../contract/redact.ts';
import { maxJsonLength } from '../parameters/schema-bounds.ts';
import { explainNotOffered } from '../parameters/schema-for-models.ts';

/** A tool as an MCP server lists it. */
export interface ListedTool {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: Record<string, unknown>;
  /** Whether the server says that a call may be repeated: it changes nothing, or repeating it does. */
  readonly isIdempotent: boolean;
  /** Why models cannot be offered it; null: they can. */
  readonly problem: string | null;
}

/** A list that was read. */
export interface ToolList {
  readonly tools: readonly ListedTool[];
  /** How many are left out: beyond the maximum, duplicates, or invalid. */
  readonly leftOut: number;
  /** The names of the first ones that models cannot be offered. */
  readonly notOffered: readonly string[];
}

/** The most tools of one server. */
const maxTools = 500;
const maxPages = 100;
const maxDescriptionLength = 2_000;
/** How deep a schema may be nested: deeper ones are not read, since reading is recursive. */
const maxDepth = 100;
const maxNamed = 20;
const maxNamedLength = 100;
const listTimeoutMs = 10_000;

/** Looser than the SDK's own: one invalid tool must not make the whole list fail. */
const page = z.looseObject({ tools: z.array(z.unknown()), nextCursor: z.string().max(4_096).nullish() });
const listedTool = z.looseObject({
  name: z.string().min(1).max(256),
  description: z.string().nullish(),
  inputSchema: z.looseObject({}).nullish(),
  annotations: z
    .looseObject({ readOnlyHint: z.boolean(), idempotentHint: z.boolean() })
    .partial()
    .nullish()
    .catch(null),
  execution: z.looseObject({ taskSupport: z.string().optional() }).nullish(),
});

/**
 * Reads the tools of a server, page by page: at most 500 tools of at most 100 pages.
 * @param secrets are removed from descriptions and schemas, in case the server sends back what it was sent
 * @throws what the client throws
 */
export async function readToolList(client: Client, signal: AbortSignal, secrets: readonly string[]): Promise<ToolList> {
  // A server without tools is not asked for them.
  if (!client.getServerCapabilities()?.tools) return { tools: [], leftOut: 0, notOffered: [] };
  const tools = new Map<string, ListedTool>();
  const cursors = new Set<string>();
  let leftOut = 0;
  let cursor: string | undefined;
  for (let pages = 0; pages < maxPages; pages++) {
    const params = cursor === undefined ? {} : { cursor };
    const answer = await client.request({ method: 'tools/list', params }, page, { signal, timeout: listTimeoutMs });
    for (const entry of answer.tools) {
      const tool = tools.size < maxTools ? readTool(entry, secrets) : null;
      if (tool === null || tools.has(tool.name)) leftOut += 1;
      else tools.set(tool.name, tool);
    }
    cursor = answer.nextCursor ?? undefined;
    if (cursor === undefined || tools.size >= maxTools || cursors.has(cursor)) break;
    cursors.add(cursor);
  }
  // Sorted, so that names stay the same whatever the server's order is.
  const sorted = [...tools.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  const notOffered = sorted.flatMap(({ name, problem }) => (problem === null ? [] : [name.slice(0, maxNamedLength)]));
  return { tools: sorted, leftOut, notOffered: notOffered.slice(0, maxNamed) };
}

/** An entry of a list; null if it is invalid, or requires what this client does not support (tasks). */
function readTool(entry: unknown, secrets: readonly string[]): ListedTool | null {
  const parsed = listedTool.safeParse(entry);
  if (!parsed.success || parsed.data.execution?.taskSupport === 'required') return null;
  const { name, annotations } = parsed.data;
  const description = hideInText(parsed.data.description ?? '', secrets)
    .slice(0, maxDescriptionLength)
    .toWellFormed();
  // idempotentHint means something only if the tool changes anything (MCP 2025-06-18, ToolAnnotations).
  const isIdempotent = annotations?.readOnlyHint === true || annotations?.idempotentHint === true;
  return { name, description, isIdempotent, ...readSchema(parsed.data.inputSchema ?? {}, secrets) };
}

/** The schema of a tool. Many servers leave out its type, which can only be an object. */
function readSchema(
  listed: Record<string, unknown>,
  secrets: readonly string[],
): Pick<ListedTool, 'inputSchema' | 'problem'> {
  const unread = (problem: string) => ({ inputSchema: { type: 'object' }, problem });
  if (isNestedDeeper(listed, maxDepth)) return unread(`Its schema must not be nested deeper than ${maxDepth}.`);
  const schema = z.record(z.string(), z.unknown()).parse(hideInJson(listed, secrets));
  if (JSON.stringify(schema).length > maxJsonLength) {
    return unread(`Its schema must be at most ${maxJsonLength} characters as JSON.`);
  }
  const problem = explainNotOffered(schema);
  if (problem !== null) return unread(problem);
  return { inputSchema: { ...schema, type: 'object' }, problem };
}

/** Whether lists and objects are nested deeper than so many levels; it looks no deeper than that. */
function isNestedDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isNestedDeeper(inner, levels - 1));
}
