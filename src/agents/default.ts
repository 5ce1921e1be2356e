import { parseId } from '../api/ids.ts';
import { badInput } from '../api/input.ts';
import { requireAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import { changeConfiguration } from '../database/change-configuration.ts';
import type { Agent, Prisma } from '../generated/prisma/client.ts';
import type { AgentDependencies } from './dependencies.ts';
import type { AgentQuery } from './read.ts';
import { explainMissingAgent, visibleAgents } from './visible.ts';

/**
 * Makes an agent the default agent, which answers if no other agent was chosen: the viewer's own agent for the viewer,
 * a shared agent for the whole tenant (admins only). The previous default agent of that owner stops being it. If this is
 * called concurrently, the last call wins.
 * @param id the public id
 * @throws {RateLimitedError}; {@link BadUserInputError} if the id is malformed or the agent is not active;
 *   {@link NotFoundError}; {@link ForbiddenError} if the agent is another user's, or if it is shared and the viewer is
 *   not an admin
 */
export async function setDefaultAgent(
  viewer: Viewer,
  deps: AgentDependencies,
  id: string,
  query: AgentQuery = {},
): Promise<Agent> {
  await deps.operationLimit.take(viewer);
  const agentId = parseId('Agent', id, ['id']);
  const { tenantId } = viewer;
  return changeConfiguration(viewer, deps, async (tx) => {
    // The owner of an agent never changes, so it can be read before anything is locked.
    const where = { ...visibleAgents(viewer), id: agentId };
    const agent = await tx.agent.findUnique({ where, select: { ownerId: true, projectId: true } });
    if (agent === null) throw await explainMissingAgent(viewer, tx, agentId);
    if (agent.projectId !== null)
      throw badInput(['id'], 'names an agent of a project, which cannot be a default agent');
    if (agent.ownerId === null) {
      requireAdmin(viewer, 'choose the tenant’s default agent; for yourself, make an agent of your own the default');
    }
    await lockDefault(tx, tenantId, agent.ownerId);
    await unsetDefault(tx, tenantId, agent.ownerId);
    const { count } = await tx.agent.updateMany({
      where: { ...where, isActive: true },
      data: { isDefault: true },
    });
    if (count === 0) {
      const present = await tx.agent.findUnique({ where, select: { id: true } });
      if (present === null) throw await explainMissingAgent(viewer, tx, agentId);
      throw badInput(['id'], 'names an agent that is not active');
    }
    return tx.agent.findUniqueOrThrow({ where: { id: agentId }, ...query });
  });
}

/**
 * Locks the row of an owner before its default agent is changed. Concurrent changes then run one after another, and never
 * violate the unique indexes. Foreign keys to the row can still be checked meanwhile.
 * @param ownerId null: the tenant
 */
export async function lockDefault(
  tx: Prisma.TransactionClient,
  tenantId: string,
  ownerId: string | null,
): Promise<void> {
  await (ownerId === null
    ? tx.$queryRaw`SELECT id FROM tenants WHERE id = ${tenantId} FOR NO KEY UPDATE`
    : tx.$queryRaw`SELECT id FROM users WHERE tenant_id = ${tenantId} AND id = ${ownerId} FOR NO KEY UPDATE`);
}

/**
 * Makes the owner have no default agent.
 * @param ownerId null: the tenant
 */
export async function unsetDefault(
  tx: Prisma.TransactionClient,
  tenantId: string,
  ownerId: string | null,
): Promise<void> {
  await tx.agent.updateMany({
    where: { tenantId, ownerId, isDefault: true, deletedAt: null },
    data: { isDefault: false },
  });
}
