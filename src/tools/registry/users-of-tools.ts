import { ConflictError } from '../../api/errors.ts';
import type { Db } from '../../database/client.ts';

const maxNamed = 10;

/**
 * Makes sure that no agent of a tenant has tools that are about to go.
 * @param what begins the sentence: "The tool get_order"
 * @param tools names, or the beginning of names but for some
 * @throws {ConflictError} naming up to ten of the agents
 */
export async function assertUnused(
  db: Db,
  tenantId: string,
  what: string,
  tools: { readonly name: string } | { readonly prefix: string; readonly except: ReadonlySet<string> },
): Promise<void> {
  const users =
    'name' in tools ? await findUsers(db, tenantId, tools.name) : await findPrefixUsers(db, tenantId, tools);
  if (users.length === 0) return;
  const named = users.slice(0, maxNamed).join(', ');
  const more = users.length > maxNamed ? ' and others' : '';
  throw new ConflictError(`${what} is used by agents: ${named}${more}. Take it from them first, or switch it off.`);
}

async function findUsers(db: Db, tenantId: string, name: string): Promise<string[]> {
  const agents = await db.agent.findMany({
    where: { tenantId, deletedAt: null, toolNames: { has: name } },
    select: { name: true },
    orderBy: [{ name: 'asc' }, { id: 'asc' }],
    take: maxNamed + 1,
  });
  return agents.map((agent) => agent.name);
}

async function findPrefixUsers(
  db: Db,
  tenantId: string,
  { prefix, except }: { readonly prefix: string; readonly except: ReadonlySet<string> },
): Promise<string[]> {
  const agents = await db.$queryRaw<{ name: string; tool_names: string[] }[]>`
    SELECT name, tool_names FROM agents WHERE tenant_id = ${tenantId} AND deleted_at IS NULL
      AND EXISTS (SELECT FROM unnest(tool_names) AS used WHERE starts_with(used, ${prefix}))
    ORDER BY name, id`;
  const uses = (tool: string) => tool.startsWith(prefix) && !except.has(tool);
  return agents.filter((agent) => agent.tool_names.some(uses)).map((agent) => agent.name);
}
