import type { Viewer } from '../../auth/viewer.ts';
import { assertIsAsDescribed, type NewConversation, planConversation } from '../../conversations/create.ts';
import type { Database } from '../../database/client.ts';
import { isForeignKeyViolation, isUniqueViolation } from '../../database/errors.ts';
import type { Conversation } from '../../generated/prisma/client.ts';
import type { TurnInput } from '../input.ts';
import { type ConversationForTurn, conversationForTurn } from '../plan/plan-turn.ts';

const path = ['input', 'newConversation'];

/** How often a start is tried whose conversation somebody else creates or deletes at the same moment. */
const maxTries = 5;

/** A conversation that is created with its first turn, and no runs in its way. */
interface ConversationToCreate extends ConversationForTurn {
  readonly creates: NewConversation;
  readonly runs: readonly never[];
}

/**
 * What the first turn of a conversation is compiled from that does not exist yet.
 * @throws as `createConversation` does, with paths in `input.newConversation`
 */
export async function planNewConversation(
  viewer: Viewer,
  db: Database,
  { conversationId, newConversation }: TurnInput,
): Promise<ConversationToCreate> {
  const creates = await planConversation(viewer, db, conversationId, newConversation ?? {}, path);
  const { tenantId, userId } = viewer;
  const user = await db.user.findUnique({
    where: { tenantId_id: { tenantId, id: userId } },
    ...conversationForTurn.user,
  });
  const { id, projectId, scenarioId, activeAgentId, followsDefault } = creates;
  return {
    id,
    projectId,
    scenarioId,
    // Which agent is the default one is looked up when the turn is compiled.
    activeAgentId: typeof activeAgentId === 'string' ? activeAgentId : null,
    followsDefault,
    user: { settings: user?.settings ?? null },
    creates,
    runs: [],
  };
}

/**
 * Makes sure that a conversation which exists is what `newConversation` says, if it is given.
 * @throws {ConflictError} if it is not
 */
export async function assertIsAsPlanned(
  viewer: Viewer,
  db: Database,
  conversation: Conversation,
  { newConversation }: TurnInput,
): Promise<void> {
  if (newConversation !== null) await assertIsAsDescribed(viewer, db, conversation, newConversation, path);
}

/**
 * Starts a turn that may create its conversation. If somebody else creates it at the same moment, nothing was written: the
 * turn is started in the conversation that exists now, or attaches to the one that its key has started.
 */
export async function untilCreated<Result>(start: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await start();
    } catch (error) {
      // A foreign key: the scenario was deleted meanwhile, which the next try says.
      if (tries === maxTries || !(isUniqueViolation(error) || isForeignKeyViolation(error))) throw error;
    }
  }
}
