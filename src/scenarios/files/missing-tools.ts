import type { Db } from '../../database/client.ts';
import { listStoredNames } from '../../tools/stored/read.ts';
import type { ScenarioFile } from './format.ts';

/** The names of the tools that every tenant has: the built-in ones, and the operator's. */
export interface CommonToolNames {
  readonly fixedNames: readonly string[];
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
  { fixedNames, mcpServers }: CommonToolNames,
): Promise<string[]> {
  const named = new Set(files.flatMap(({ content }) => content.agents.flatMap(({ tools }) => tools)));
  if (named.size === 0) return [];
  const stored = await listStoredNames(tenantId, db, [...named]);
  const known = new Set([...fixedNames, ...stored.httpTools]);
  const servers = [...mcpServers.map(({ name }) => name), ...stored.mcpServers];
  const prefixes = servers.map((name) => `${name}_`);
  return [...named].filter((name) => !known.has(name) && !prefixes.some((prefix) => name.startsWith(prefix))).sort();
}
