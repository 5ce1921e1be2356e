import type { AgentDependencies } from '../agents/dependencies.ts';
import { readAgent } from '../agents/read.ts';
import { findDefaultAgent, type ResolvedAgent, resolveAgents } from '../agents/resolve.ts';
import { NotFoundError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { badInput } from '../api/input.ts';
import { belongsTo } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';

/**
 * The agent that speaks or listens: the given one, else the viewer's current one. Out of the cache.
 * @param agentId the public id; null: the current agent
 * @throws {BadUserInputError} when the id is malformed, or its agent is not active
 * @throws {NotFoundError | ForbiddenError} when it is not there, or is somebody else's
 */
export async function chooseAgent(
  viewer: Viewer,
  deps: AgentDependencies,
  agentId: string | null | undefined,
): Promise<ResolvedAgent> {
  const given = agentId ?? null;
  const row = given === null ? await findDefaultAgent(viewer, deps) : parseId('Agent', given, ['agentId']);
  if (row === null) throw new NotFoundError('There is no default agent, neither yours nor your tenant’s.');
  const chosen = (await resolveAgents(viewer, deps, [row])).get(row);
  if (!chosen || !belongsTo(viewer, { tenantId: chosen.agent.tenantId, userId: chosen.agent.ownerId })) {
    // It knows why.
    await readAgent(viewer, deps.db, formatId('Agent', row));
    throw new NotFoundError(`There is no agent ${formatId('Agent', row)}.`);
  }
  if (!chosen.agent.isActive) throw badInput(['agentId'], 'names an agent that is not active');
  return chosen;
}
