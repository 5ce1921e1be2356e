import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { isOfAnotherUser } from './hide-foreign.ts';

/** Which agent something belongs to, for an admin of its tenant. */
export interface AgentName {
  /** The row id. */
  readonly id: string;
  /** Null: another user's own agent, whose name is for nobody else. */
  readonly name: string | null;
}

/**
 * The names of agents of the tenant, deleted ones included. One statement; none for no ids.
 * @param ids row ids
 * @returns in the order of the ids; null: it does not exist
 */
export async function readAgentNames(viewer: Viewer, db: Db, ids: readonly string[]): Promise<(AgentName | null)[]> {
  if (ids.length === 0) return [];
  const rows = await db.agent.findMany({
    where: { tenantId: viewer.tenantId, id: { in: [...ids] } },
    select: { id: true, name: true, ownerId: true },
  });
  const names = new Map(
    rows.map(({ id, name, ownerId }) => [id, { id, name: isOfAnotherUser(viewer, { ownerId }) ? null : name }]),
  );
  return ids.map((id) => names.get(id) ?? null);
}
