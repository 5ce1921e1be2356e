import { createHash } from 'node:crypto';
import type { HttpToolDefinition } from '../http/http-tool.ts';
import type { McpDefinition } from '../mcp/config.ts';
import type { ListedTool } from '../mcp/list.ts';
import { writeCanonically } from '../parameters/parameters.ts';

/**
 * The hash of a built-in tool. What it takes may be written in other words in another version of the server, and is
 * checked when it is called: its name says what it does.
 */
export function hashBuiltIn(name: string): string {
  return hash({ source: 'BUILTIN', name });
}

/**
 * The hash of an HTTP tool: where its requests go, what they are made of, and the headers that are no secrets. Of the
 * others it has the names.
 */
export function hashHttpTool({ name, method, url, parameters, headers, secretNames }: HttpToolDefinition): string {
  const secret = secretNames && new Set(secretNames.map((header) => header.toLowerCase()));
  const sent = Object.entries(headers ?? {}).map(([header, value]) => {
    const key = header.toLowerCase();
    return [key, secret === undefined || secret.has(key) ? null : value] as const;
  });
  return hash({ source: 'HTTP', name, method, url, parameters, headers: Object.fromEntries(sent) });
}

/** The hash of a tool of an MCP server: where the server is, whose it is, and what it says that the tool takes. */
export function hashMcpTool({ name: server, tenantId, address }: McpDefinition, tool: ListedTool): string {
  const where =
    address.kind === 'http'
      ? { url: address.url, headers: Object.keys(address.headers).sort() }
      : { command: address.command, args: address.args, cwd: address.cwd, env: Object.keys(address.env).sort() };
  return hash({ source: 'MCP', server, tenantId, where, name: tool.name, parameters: tool.inputSchema });
}

function hash(definition: Readonly<Record<string, unknown>>): string {
  return createHash('sha256').update(writeCanonically(definition)).digest('hex');
}
