import { ConflictError } from '../api/errors.ts';
import { parseId } from '../api/ids.ts';
import { badInput, type InputPath } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import type { Guardrail } from '../guardrails/config.ts';
import { listClassifiers, renameClassifiers } from '../guardrails/input.ts';
import { lockAgentsInUse } from './require.ts';
import { explainMissingAgent, isInProject } from './visible.ts';

/** Whose guardrails or scenario an agent classifies for. */
interface ClassifierUser {
  /** Whether it belongs to the tenant or a project: then the classifiers must be shared as well. */
  readonly isShared: boolean;
  /** The row id of its project, of which the classifiers may be; null: it belongs to none. */
  readonly projectId: string | null;
}

/**
 * Checks the agents that classify for guardrails: they are active, and whoever has the guardrails can use them. Locks their
 * rows, so that none of them is deleted before the transaction ends. No statement if there are none, else one.
 * @param guardrails their classifiers are named by public ids
 * @param owner.path where the list stood in the arguments
 * @returns the guardrails with row ids
 * @throws {BadUserInputError} naming the field; {@link NotFoundError}; {@link ForbiddenError} if one is another user's
 */
export async function checkClassifiers(
  viewer: Viewer,
  tx: Prisma.TransactionClient,
  guardrails: readonly Guardrail[],
  owner: ClassifierUser & { readonly path: InputPath },
): Promise<readonly Guardrail[]> {
  const named = listClassifiers(guardrails, owner.path).map(({ agentId, path }) => ({
    agentId: parseId('Agent', agentId, path),
    path,
  }));
  await lockClassifiers(viewer, tx, named, owner);
  return renameClassifiers(guardrails, (id) => parseId('Agent', id, owner.path));
}

/**
 * Locks the rows of agents that classify, and checks that they are active, and shared if they have to be. No statement if
 * there are none, else one.
 * @param named their row ids, and where these stood in the arguments
 * @throws as {@link checkClassifiers}
 */
export async function lockClassifiers(
  viewer: Viewer,
  tx: Prisma.TransactionClient,
  named: readonly { readonly agentId: string; readonly path: InputPath }[],
  { isShared, projectId }: ClassifierUser,
): Promise<void> {
  const agents = await lockAgentsInUse(viewer, tx, [...new Set(named.map(({ agentId }) => agentId))]);
  for (const { agentId, path } of named) {
    const agent = agents.get(agentId);
    if (agent === undefined) throw await explainMissingAgent(viewer, tx, agentId, `, which ${path.join('.')} names`);
    const name = JSON.stringify(agent.name);
    if (agent.isDeleted) throw badInput(path, `names an agent that was deleted: ${name}`);
    if (agent.ownerId !== null && isShared)
      throw badInput(path, `names an agent of your own, which must be shared: ${name}`);
    if (!isInProject(agent, projectId)) throw badInput(path, `names an agent of another project: ${name}`);
    if (!agent.isActive) throw badInput(path, `names an agent that is not active: ${name}`);
  }
}

/**
 * Makes sure that an agent that is about to be deleted classifies for no guardrail of another agent.
 * @throws {ConflictError} naming one of the agents that use it
 */
export async function assertNoClassifier(
  tx: Prisma.TransactionClient,
  tenantId: string,
  agentId: string,
): Promise<void> {
  const pattern = JSON.stringify([{ check: { agentId } }]);
  const [user] = await tx.$queryRaw<{ name: string }[]>`
    SELECT name FROM agents WHERE tenant_id = ${tenantId} AND deleted_at IS NULL AND id <> ${agentId}::uuid
      AND guardrails @> ${pattern}::jsonb ORDER BY created_at LIMIT 1`;
  if (user === undefined) return;
  const message = `The agent classifies for a guardrail of the agent ${JSON.stringify(user.name)}: change that guardrail first, or make the agent inactive.`;
  throw new ConflictError(message);
}
