import type { Db } from '../database/client.ts';
import type { ToolNames } from '../tools/registry/deps.ts';

/**
 * The agents of a tenant that have certain tools, also those that other users own.
 * @param tools one tool by name, or all whose names begin with a prefix except some
 * @param max how many names are returned at most
 * @returns the agents' names, in alphabetical order
 */
export async function listAgentsWithTools(
  db: Db,
  tenantId: string,
  tools: ToolNames,
  max: number,
): Promise<readonly string[]> {
  return 'name' in tools ? listByName(db, tenantId, tools.name, max) : listByPrefix(db, tenantId, tools, max);
}

async function listByName(db: Db, tenantId: string, name: string, max: number): Promise<string[]> {
  const agents = await db.agent.findMany({
    where: { tenantId, deletedAt: null, toolNames: { has: name } },
    select: { name: true },
    orderBy: [{ name: 'asc' }, { id: 'asc' }],
    take: max,
  });
  return agents.map((agent) => agent.name);
}

async function listByPrefix(
  db: Db,
  tenantId: string,
  { prefix, except }: Extract<ToolNames, { prefix: string }>,
  max: number,
): Promise<string[]> {
  const agents = await db.$queryRaw<{ name: string }[]>`
    SELECT name FROM agents WHERE tenant_id = ${tenantId} AND deleted_at IS NULL
      AND EXISTS (SELECT FROM unnest(tool_names) AS used WHERE starts_with(used, ${prefix}) AND used <> ALL(${[...except]}))
    ORDER BY name, id LIMIT ${max}`;
  return agents.map((agent) => agent.name);
}
