import { z } from 'zod';

const place = { seq: z.int(), at: z.date(), conversationId: z.uuid() };

/**
 * Something that happened in a conversation, by row ids: its readers read the rows as they are then. `seq` counts the
 * events of one user, in all conversations.
 */
export const feedEvent = z.discriminatedUnion('type', [
  z.object({ ...place, type: z.literal('ConversationCreated') }),
  z.object({ ...place, type: z.literal('ConversationUpdated') }),
  z.object({ ...place, type: z.literal('ConversationDeleted') }),
  z.object({ ...place, type: z.literal('MessageAdded'), messageId: z.uuid() }),
  z.object({
    ...place,
    type: z.literal('RunChanged'),
    runId: z.uuid(),
    /** Whether the event tells of its creation. */
    isNew: z.boolean(),
  }),
  z.object({
    ...place,
    type: z.literal('AgentSwitched'),
    fromAgentId: z.uuid().nullable(),
    toAgentId: z.uuid(),
    /** The run and the handoff that switched it; null: a person did, or the run did without a handoff. */
    runId: z.uuid().nullable(),
    handoffId: z.uuid().nullable(),
    /** The message whose routing decision switched it outside of a run; null: none. */
    messageId: z.uuid().nullable(),
  }),
]);

export type FeedEvent = Readonly<z.output<typeof feedEvent>>;

/** The user whose feed it is; a Viewer, and the row of a run or a conversation, have the fields. */
export interface FeedOwner {
  readonly tenantId: string;
  readonly userId: string;
}
