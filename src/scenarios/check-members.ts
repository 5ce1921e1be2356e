import { formatId, parseId } from '../api/ids.ts';
import { badInput, type InputPath } from '../api/input.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import { findGraphProblems } from './graph.ts';
import type { ScenarioInput } from './input.ts';
import type { StoredGraph } from './write-graph.ts';

interface AgentRow {
  readonly id: string;
  readonly name: string;
  readonly owner_id: string | null;
  readonly is_active: boolean;
  readonly deleted: boolean;
}

/**
 * The graph of an input, with row ids: checked in itself, and its members to be active and shared. It holds the agents’
 * rows, so that none of them is deleted before the transaction ends. One statement.
 * @throws {NotFoundError | ForbiddenError} when a member is not there, or is somebody else’s
 */
export async function checkMembers(
  viewer: Viewer,
  tx: Prisma.TransactionClient,
  input: ScenarioInput,
): Promise<StoredGraph> {
  const at = {
    root: ['input', 'rootAgentId'],
    member: (index: number) => ['input', 'agents', index, 'agentId'],
    handoff: (index: number, place: number) => ['input', 'agents', index, 'handoffs', place, 'toAgentId'],
  };
  const rootAgentId = parseId('Agent', input.rootAgentId, at.root);
  const members = input.agents.map(({ agentId, handoffs }, index) => ({
    agentId: parseId('Agent', agentId, at.member(index)),
    handoffs: handoffs.map(({ toAgentId, description = null }, place) => ({
      toAgentId: parseId('Agent', toAgentId, at.handoff(index, place)),
      description,
    })),
  }));
  const named = [rootAgentId, ...members.flatMap(({ agentId, handoffs }) => [agentId, ...handoffs.map(toAgent)])];
  const rows = await lockAgents(viewer, tx, [...new Set(named)]);

  const [problem] = findGraphProblems(
    {
      root: rootAgentId,
      members: members.map(({ agentId, handoffs }) => ({ agent: agentId, handoffs: handoffs.map(toAgent) })),
    },
    { ...at, key: input.key, nameOf: (id) => rows.get(id)?.name ?? formatId('Agent', id) },
  );
  if (problem) throw badInput(problem.path, problem.message);
  for (const [index, { agentId }] of members.entries()) {
    const path = at.member(index);
    const row = rows.get(agentId);
    if (row === undefined) throw await explainForbiddenMember(viewer, tx, agentId, path);
    const name = JSON.stringify(row.name);
    if (row.deleted) throw badInput(path, `names an agent that was deleted: ${name}`);
    if (row.owner_id !== null) {
      throw badInput(path, `names an agent of your own, ${name}: the agents of a scenario are shared ones`);
    }
    if (!row.is_active) throw badInput(path, `names an agent that is not active: ${name}`);
  }
  return { rootAgentId, members };
}

const toAgent = ({ toAgentId }: { readonly toAgentId: string }) => toAgentId;

/** Of these agents those that the viewer may know of, by row id; locked in the order of their ids. */
async function lockAgents(
  { tenantId, userId }: Viewer,
  tx: Prisma.TransactionClient,
  ids: readonly string[],
): Promise<Map<string, AgentRow>> {
  const rows = await tx.$queryRaw<AgentRow[]>`
    SELECT id, name, owner_id, is_active, deleted_at IS NOT NULL AS deleted FROM agents
    WHERE tenant_id = ${tenantId} AND (owner_id IS NULL OR owner_id = ${userId}) AND id = ANY(${ids}::uuid[])
    ORDER BY id FOR KEY SHARE`;
  return new Map(rows.map((row) => [row.id, row]));
}

/** Why an agent is none that the viewer may know of. */
async function explainForbiddenMember(viewer: Viewer, tx: Prisma.TransactionClient, row: string, path: InputPath) {
  const other = await tx.agent.findUnique({ where: { id: row }, select: { tenantId: true, ownerId: true } });
  const owner = other && { tenantId: other.tenantId, userId: other.ownerId };
  return notFoundOrForbidden(viewer, `agent ${formatId('Agent', row)}, which ${path.join('.')} names`, owner);
}
