import { lockAgentsInUse } from '../agents/require.ts';
import { explainMissingAgent, isInProject } from '../agents/visible.ts';
import { formatId, parseId } from '../api/ids.ts';
import { badInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import { findGraphProblems } from './check-graph.ts';
import type { ScenarioInput } from './input.ts';
import type { StoredGraph } from './write-graph.ts';

/**
 * Checks the graph of an input, and that its members are active shared agents. Locks the rows of the agents, so that none
 * of them is deleted before the transaction ends. One statement.
 * @param projectId the row id of the scenario's project, of which members may be; null: it belongs to none
 * @returns the graph with row ids
 * @throws {BadUserInputError} naming the field; {@link NotFoundError} if a member does not exist; {@link ForbiddenError}
 *   if it is another user's
 */
export async function checkMembers(
  viewer: Viewer,
  tx: Prisma.TransactionClient,
  input: ScenarioInput,
  projectId: string | null,
): Promise<StoredGraph> {
  const at = {
    root: ['input', 'rootAgentId'],
    member: (index: number) => ['input', 'agents', index, 'agentId'],
    handoff: (index: number, position: number) => ['input', 'agents', index, 'handoffs', position, 'toAgentId'],
  };
  const rootAgentId = parseId('Agent', input.rootAgentId, at.root);
  const members = input.agents.map(({ agentId, handoffs }, index) => ({
    agentId: parseId('Agent', agentId, at.member(index)),
    handoffs: handoffs.map(({ toAgentId, description = null }, position) => ({
      toAgentId: parseId('Agent', toAgentId, at.handoff(index, position)),
      description,
    })),
  }));
  const named = [rootAgentId, ...members.flatMap(({ agentId, handoffs }) => [agentId, ...handoffs.map(toAgent)])];
  const agents = await lockAgentsInUse(viewer, tx, [...new Set(named)]);

  const [problem] = findGraphProblems(
    {
      root: rootAgentId,
      isOrchestrated: (input.orchestration?.mode ?? 'OFF') !== 'OFF',
      members: members.map(({ agentId, handoffs }) => ({ agent: agentId, handoffs: handoffs.map(toAgent) })),
    },
    { ...at, key: input.key, nameOf: (id) => agents.get(id)?.name ?? formatId('Agent', id) },
  );
  if (problem) throw badInput(problem.path, problem.message);
  for (const [index, { agentId }] of members.entries()) {
    const path = at.member(index);
    const agent = agents.get(agentId);
    if (agent === undefined) throw await explainMissingAgent(viewer, tx, agentId, `, which ${path.join('.')} names`);
    const name = JSON.stringify(agent.name);
    if (agent.isDeleted) throw badInput(path, `names an agent that was deleted: ${name}`);
    if (agent.ownerId !== null) {
      throw badInput(path, `names an agent of your own, ${name}: the agents of a scenario must be shared`);
    }
    if (!isInProject(agent, projectId)) throw badInput(path, `names an agent of another project: ${name}`);
    if (!agent.isActive) throw badInput(path, `names an agent that is not active: ${name}`);
  }
  return { rootAgentId, members };
}

const toAgent = ({ toAgentId }: { readonly toAgentId: string }) => toAgentId;
