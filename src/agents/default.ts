import { parseId } from '../api/ids.ts';
import { badInput } from '../api/input.ts';
import { explainMissingAgent, requireAdmin, visibleAgents } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Agent, Prisma } from '../generated/prisma/client.ts';
import type { AgentDependencies } from './dependencies.ts';
import type { AgentQuery } from './read.ts';

/**
 * Makes an agent the one that answers where nothing else was chosen: an own one for the viewer, a shared one, by an
 * admin, for the whole tenant. The one that was it before is it no longer. Of any number at once, the last one holds.
 * @param id the public id
 * @throws {BadUserInputError} for the id, and for an agent that is not active; {@link NotFoundError};
 *   {@link ForbiddenError} for somebody else's, and for a shared one by somebody who is no admin;
 *   {@link RateLimitedError}
 */
export async function setDefaultAgent(
  viewer: Viewer,
  deps: AgentDependencies,
  id: string,
  query: AgentQuery = {},
): Promise<Agent> {
  await deps.operationLimit.take(viewer);
  const row = parseId('Agent', id, ['id']);
  const { tenantId } = viewer;
  const agent = await deps.db.$transaction(async (tx) => {
    // Whose an agent is never changes, so it can be read before anything is held.
    const where = { ...visibleAgents(viewer), id: row };
    const found = await tx.agent.findUnique({ where, select: { ownerId: true } });
    if (found === null) throw await explainMissingAgent(viewer, tx, row);
    if (found.ownerId === null) {
      requireAdmin(viewer, 'choose the tenant’s default agent; for yourself, make an agent of your own the default');
    }
    await lockDefault(tx, tenantId, found.ownerId);
    await unsetDefault(tx, tenantId, found.ownerId);
    const { count } = await tx.agent.updateMany({
      where: { ...where, isActive: true },
      data: { isDefault: true },
    });
    if (count === 0) {
      const there = await tx.agent.findUnique({ where, select: { id: true } });
      if (there === null) throw await explainMissingAgent(viewer, tx, row);
      throw badInput(['id'], 'is of an agent that is not active');
    }
    return tx.agent.findUniqueOrThrow({ where: { id: row }, ...query });
  });
  deps.config.drop(tenantId);
  return agent;
}

/**
 * Whoever changes the default of an owner holds that owner's row, so that two at once come one after the other and the
 * unique indexes are never met. References to the row go on being checked meanwhile.
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

/** Takes the default from whichever agent of the owner has it. */
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
