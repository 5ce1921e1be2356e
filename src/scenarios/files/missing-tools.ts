import type { Db } from '../../database/client.ts';
import { builtInTools } from '../../tools/registry/builtin.ts';
import { listStoredNames } from '../../tools/stored/read.ts';
import type { ScenarioFile } from './format.ts';

/** The names of the operator's tools, which every tenant has. */
export interface OperatorToolNames {
  readonly httpTools: readonly { readonly name: string }[];
  readonly mcpServers: readonly { readonly name: string }[];
}

/**
 * Finds the tools that the agents of files name and the tenant does not have. Agents keep such names, and can use the tool
 * as soon as it exists. MCP servers are not asked for their tools: every name with the prefix of a server counts as known.
 * @returns their names, sorted
 */
export async function findMissingTools(
  tenantId: string,
  db: Db,
  files: readonly ScenarioFile[],
  operatorTools: OperatorToolNames,
): Promise<string[]> {
  const named = new Set(files.flatMap(({ content }) => content.agents.flatMap(({ tools }) => tools)));
  if (named.size === 0) return [];
  const stored = await listStoredNames(tenantId, db, [...named]);
  const given = [...builtInTools, ...operatorTools.httpTools].map(({ name }) => name);
  const known = new Set([...given, ...stored.httpTools]);
  const servers = [...operatorTools.mcpServers.map(({ name }) => name), ...stored.mcpServers];
  const prefixes = servers.map((name) => `${name}_`);
  return [...named].filter((name) => !known.has(name) && !prefixes.some((prefix) => name.startsWith(prefix))).sort();
}
