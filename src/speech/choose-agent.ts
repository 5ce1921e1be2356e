import type { AgentDependencies } from '../agents/dependencies.ts';
import { findDefaultAgent, type ResolvedAgent, resolveAgents } from '../agents/resolve.ts';
import { explainMissingAgent } from '../agents/visible.ts';
import { NotFoundError } from '../api/errors.ts';
import { parseId } from '../api/ids.ts';
import { badInput } from '../api/input.ts';
import { belongsTo } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import { requireProjectCached } from '../projects/access.ts';

/**
 * Chooses the agent that speaks or listens: the given agent, else the viewer's default agent. From the cache.
 * @param agentId the public id; null: the default agent
 * @throws {BadUserInputError} if the id is malformed, or the agent is not active
 * @throws {NotFoundError} if it does not exist; {@link ForbiddenError} if it is another user's
 */
export async function chooseAgent(
  viewer: Viewer,
  deps: AgentDependencies,
  agentId: string | null | undefined,
): Promise<ResolvedAgent> {
  const row = agentId == null ? await findDefaultAgent(viewer, deps) : parseId('Agent', agentId, ['agentId']);
  if (row === null) throw new NotFoundError('There is no active default agent: neither you nor your tenant has one.');
  const chosen = (await resolveAgents(viewer, deps, [row])).get(row);
  if (!chosen || !belongsTo(viewer, { tenantId: chosen.agent.tenantId, userId: chosen.agent.ownerId })) {
    throw await explainMissingAgent(viewer, deps.db, row);
  }
  if (chosen.agent.projectId !== null) await requireProjectCached(viewer, deps, chosen.agent.projectId, 'VIEWER');
  if (!chosen.agent.isActive) throw badInput(['agentId'], 'names an agent that is not active');
  return chosen;
}
