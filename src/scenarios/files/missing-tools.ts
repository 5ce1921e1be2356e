import type { Db } from '../../database/client.ts';
import { builtInTools } from '../../tools/registry/builtin.ts';
import type { ScenarioFile } from './format.ts';

/** What the operator gives to every tenant. */
export interface GivenTools {
  readonly httpTools: readonly { readonly name: string }[];
  readonly mcpServers: readonly { readonly name: string }[];
}

/**
 * The tools that the agents of files name and the tenant does not have, sorted. Agents keep such names, and have the
 * tool as soon as it is there. What an MCP server has is not asked: whatever begins with its name counts as there.
 */
export async function findMissingTools(
  tenantId: string,
  db: Db,
  files: readonly ScenarioFile[],
  given: GivenTools,
): Promise<string[]> {
  const named = new Set(files.flatMap(({ content }) => content.agents.flatMap(({ tools }) => tools)));
  if (named.size === 0) return [];
  const select = { name: true };
  const httpTools = await db.httpTool.findMany({ where: { tenantId, name: { in: [...named] } }, select });
  const servers = await db.mcpServer.findMany({ where: { tenantId }, select });
  const known = new Set([...builtInTools, ...given.httpTools, ...httpTools].map(({ name }) => name));
  const prefixes = [...given.mcpServers, ...servers].map(({ name }) => `${name}_`);
  return [...named].filter((name) => !known.has(name) && !prefixes.some((prefix) => name.startsWith(prefix))).sort();
}
