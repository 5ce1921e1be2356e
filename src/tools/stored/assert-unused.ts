import { ConflictError } from '../../api/errors.ts';
import type { Db } from '../../database/client.ts';
import type { ToolDependencies, ToolNames } from '../registry/deps.ts';

const maxNamed = 10;

/**
 * Makes sure that no agent of a tenant has tools that are about to be renamed or deleted.
 * @param what begins the message: "The tool get_order"
 * @throws {ConflictError} naming up to ten of the agents
 */
export async function assertUnused(
  tx: Db,
  { consumers }: ToolDependencies,
  tenantId: string,
  what: string,
  tools: ToolNames,
): Promise<void> {
  const agents = await consumers.listAgentsWithTools(tx, tenantId, tools, maxNamed + 1);
  if (agents.length === 0) return;
  const named = agents.slice(0, maxNamed).join(', ');
  const more = agents.length > maxNamed ? ' and others' : '';
  throw new ConflictError(`${what} is used by agents: ${named}${more}. Remove it from them first, or deactivate it.`);
}
