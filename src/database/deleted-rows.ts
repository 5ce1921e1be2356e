import type { Agent, Conversation, Message, Run } from '../generated/prisma/client.ts';
import type { Database } from './client.ts';
import { isMissingRow } from './errors.ts';

/*
 * Rows that were deleted while an event or a list that names them was on its way, as objects with an id and with nothing
 * in them: with all columns, and with the relations that documents can select.
 */

type Owner = Pick<Conversation, 'tenantId' | 'userId'>;

const nobody: Owner = { tenantId: '', userId: '' };
const longAgo = new Date(0);

/** A run that holds nothing. */
export function makeDeletedRun({ tenantId, userId }: Owner, id: string, at: Date) {
  return {
    id,
    tenantId,
    userId,
    conversationId: '',
    number: 0,
    status: 'CANCELLED',
    idempotencyKey: '',
    payloadHash: '',
    input: {},
    userMessageId: id,
    isCurrent: true,
    queuedPosition: null,
    agentId: null,
    lastSeq: 0,
    routingDecision: null,
    errorCode: null,
    errorMessage: null,
    errorRetryable: null,
    leaseOwner: null,
    leaseEpoch: 0,
    leaseExpiresAt: null,
    reservedSeq: 0,
    scenarioId: null,
    scenarioVersion: null,
    resumedCount: 0,
    diedCount: 0,
    leasedAt: null,
    elapsedMs: 0,
    cancelRequestedAt: null,
    actionExpiresAt: null,
    createdAt: at,
    startedAt: null,
    finishedAt: at,
    conversation: null,
    handoffs: [],
    guardrailResults: [],
  } satisfies Run & Record<string, unknown>;
}

/** A conversation without messages and runs. */
export function makeDeletedConversation(id: string, { tenantId, userId }: Owner = nobody) {
  return {
    id,
    tenantId,
    userId,
    projectId: null,
    title: '',
    autoTitle: false,
    titleOrigin: 'MESSAGE',
    scenarioId: null,
    activeAgentId: null,
    followsDefault: false,
    contactId: null,
    branchChanges: 0,
    messageCount: 0,
    runCount: 0,
    isArchived: false,
    isPinned: false,
    creationKey: null,
    creationHash: null,
    createdAt: longAgo,
    updatedAt: longAgo,
    scenario: null,
    activeAgent: null,
    contact: null,
    user: { expiredEventSeq: 0, feedEvents: [] },
    runs: [],
  } satisfies Conversation & Record<string, unknown>;
}

/** A message without a text. */
export function makeDeletedMessage(id: string, conversation: Conversation) {
  return {
    id,
    tenantId: conversation.tenantId,
    conversationId: conversation.id,
    position: null,
    parentId: null,
    number: null,
    isActive: true,
    role: 'USER',
    status: 'COMPLETE',
    content: '',
    agentId: null,
    runId: null,
    step: null,
    attachments: [],
    routingDecision: null,
    source: 'CHAT',
    finishReason: null,
    createdAt: longAgo,
    creationKey: null,
    creationHash: null,
    transfers: null,
    isIndexed: true,
    bytes: 0,
    conversation,
    run: null,
    startedRuns: [],
    toolCalls: [],
    feedback: null,
    guardrailResults: [],
  } satisfies Message & Record<string, unknown>;
}

/** An agent that is switched off. Rows of agents are deleted only with their tenant. */
export function makeDeletedAgent(id: string) {
  return {
    id,
    tenantId: '',
    ownerId: null,
    projectId: null,
    name: 'deleted',
    description: null,
    instructions: '',
    isDefault: false,
    isActive: false,
    llm: null,
    tts: null,
    stt: null,
    toolNames: [],
    guardrails: [],
    outputSchema: null,
    isDevelopment: false,
    createdAt: longAgo,
    updatedAt: longAgo,
    deletedAt: longAgo,
    bytes: 0,
    secrets: [],
  } satisfies Agent & Record<string, unknown>;
}

const tolerant = new WeakMap<Database, ReturnType<typeof extend>>();

/**
 * The client with which Pothos reads again what was not read with a row: if the row was deleted since, it gets one with
 * nothing in it, and not an error that takes the event or the page with it.
 */
export function tolerateDeletedRows(db: Database) {
  const known = tolerant.get(db) ?? extend(db);
  tolerant.set(db, known);
  return known;
}

function extend(db: Database) {
  return db.$extends({
    query: {
      conversation: {
        findUniqueOrThrow: ({ args, query }) =>
          orDeleted(query(args), () => makeDeletedConversation(args.where.id ?? '')),
      },
      agent: {
        findUniqueOrThrow: ({ args, query }) => orDeleted(query(args), () => makeDeletedAgent(args.where.id ?? '')),
      },
    },
  });
}

function orDeleted<Row, Deleted>(reading: Promise<Row>, makeDeleted: () => Deleted): Promise<Row | Deleted> {
  return reading.catch((error: unknown) => {
    if (isMissingRow(error)) return makeDeleted();
    throw error;
  });
}
