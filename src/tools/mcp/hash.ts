import { hashDefinition } from '../contract/definition-hash.ts';
import type { McpDefinition } from './config.ts';
import type { ListedTool } from './list.ts';

/** The hash of a tool of an MCP server: the server's address and owner, and what the tool takes as the server lists it. */
export function hashMcpTool({ name: server, tenantId, address }: McpDefinition, tool: ListedTool): string {
  const where =
    address.kind === 'http'
      ? { url: address.url, headers: Object.keys(address.headers).sort() }
      : { command: address.command, args: address.args, cwd: address.cwd, env: Object.keys(address.env).sort() };
  return hashDefinition({ source: 'MCP', server, tenantId, where, name: tool.name, parameters: tool.inputSchema });
}
