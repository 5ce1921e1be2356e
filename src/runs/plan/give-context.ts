import type { Viewer } from '../../auth/viewer.ts';
import { readContextOfTurn } from '../../context/read.ts';
import type { Database } from '../../database/client.ts';
import { windowOf } from '../../engine/fit-history.ts';
import type { PlannedAgent } from '../../engine/plan.ts';
import type { PlannedTurn } from '../planned-turn.ts';

/**
 * Gives the context snapshot of a turn to the agents that may begin it. Without a snapshot, it costs nothing; with one, it
 * is one statement.
 * @param agents of the turn; those that may begin are replaced
 * @param options.snapshotId the row id; undefined: the turn names none
 * @param options.hasWaited whether the turn comes out of the queue: the snapshot may have expired meanwhile
 * @returns the references of the snapshot; undefined: there is none
 * @throws {NotFoundError} if it does not exist or has expired; {@link ForbiddenError} if it is somebody else's
 */
export async function giveContext(
  viewer: Viewer,
  db: Database,
  agents: Map<string, PlannedAgent>,
  options: {
    readonly snapshotId: string | undefined;
    readonly mayBegin: readonly PlannedAgent[];
    readonly hasWaited: boolean;
  },
): Promise<PlannedTurn['references']> {
  const { snapshotId, mayBegin, hasWaited } = options;
  if (snapshotId === undefined) return undefined;
  // A quarter of the smallest window at most: a token is about four characters.
  const maxCharacters = Math.min(...mayBegin.map(({ endpoint }) => windowOf(endpoint)));
  const { text, references } = await readContextOfTurn(viewer, db, snapshotId, { hasWaited, maxCharacters });
  for (const agent of mayBegin) agents.set(agent.id, { ...agent, context: text });
  return references;
}
