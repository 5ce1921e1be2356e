import { NotFoundError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import type { GuardResult } from '../engine/guard.ts';
import type { Message } from '../generated/prisma/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import type { AttachmentDraft } from './attachment.ts';
import type { StoredRoutingDecision } from './routing-decision.ts';
import { makeTitle, untitled } from './text.ts';

/** What to load with the row: the selection of a GraphQL document. */
export interface MessageQuery {
  readonly include?: Prisma.MessageInclude;
}

/** A message to store. Ids are row ids. */
export interface MessageDraft {
  /** Absent: a new id. */
  readonly id?: string;
  readonly role: Message['role'];
  readonly content: string;
  /** Absent: COMPLETE. */
  readonly status?: Message['status'];
  /** Absent: CHAT. */
  readonly source?: Message['source'];
  readonly agentId?: string | null;
  /** A run of the same conversation. */
  readonly runId?: string | null;
  /** The model step of the run that wrote it, from 0. */
  readonly step?: number | null;
  readonly attachments?: readonly AttachmentDraft[];
  readonly routingDecision?: StoredRoutingDecision | null;
  readonly toolCalls?: readonly ToolCallDraft[];
  /** What guardrails decided about it, if it belongs to no run. */
  readonly guardrailResults?: readonly GuardResult[];
  /** The key and the hash of the input of createMessage; absent: it had no key. */
  readonly creationKey?: string;
  readonly creationHash?: string;
}

/** A finished tool call of a message that a client created. */
export interface ToolCallDraft {
  readonly callId: string;
  readonly name: string;
  readonly arguments: string;
  readonly result: Prisma.InputJsonValue | null;
  readonly status: 'SUCCEEDED' | 'FAILED' | 'DENIED' | 'CANCELLED';
  readonly error: string | null;
}

/** What a message that starts a turn changes in its conversation. */
export interface StartsRun {
  /** The new active agent; null: it stays as it is. */
  readonly activeAgentId: string | null;
  /** Whether the client asked for that agent: then the conversation no longer follows the default agent. */
  readonly asked: boolean;
}

/**
 * The columns of a conversation that change when a message is appended: the part of an UPDATE after SET.
 * @param isQueued whether the message waits with its turn: then it takes no position yet
 */
export function appendMessageColumns(
  draft: Pick<MessageDraft, 'role' | 'content' | 'status'>,
  startsRun?: StartsRun,
  isQueued = false,
): Prisma.Sql {
  const isTitle = draft.role === 'USER' && draft.status !== 'BLOCKED';
  const title = isTitle ? makeTitle(draft.content) : untitled;
  const hasTitle = title !== untitled;
  const runColumns = startsRun
    ? Prisma.sql`run_count = run_count + 1, active_agent_id = coalesce(${startsRun.activeAgentId}::uuid, active_agent_id),
      follows_default = follows_default AND NOT ${startsRun.asked},`
    : Prisma.empty;
  const countColumn = isQueued ? Prisma.empty : Prisma.sql`message_count = message_count + 1,`;
  return Prisma.sql`${runColumns} ${countColumn}
    updated_at = greatest(updated_at, clock_timestamp()),
    title = CASE WHEN auto_title AND ${hasTitle} THEN ${title} ELSE title END,
    auto_title = auto_title AND NOT ${hasTitle}`;
}

/**
 * Appends a message to a conversation. The first user message that is not blocked becomes the title of an untitled conversation.
 *
 * Two statements (more for tool calls and for what `query` includes). The first one increments message_count, which is the
 * message's position, and locks the conversation's row until the transaction ends: positions have no gaps and no
 * duplicates, also with concurrent writers. Inside a transaction only: else a failure between the two would leave a gap.
 *
 * @param conversationId the row id
 * @param options.startsRun given if the message starts a turn
 * @param options.isQueued whether the message waits with its turn: then it has no position, and is not listed yet
 * @param options.userId given if the conversation has to belong to this user
 * @throws {NotFoundError} if there is no such conversation
 */
export async function appendMessage(
  tx: Prisma.TransactionClient,
  tenantId: string,
  conversationId: string,
  draft: MessageDraft,
  options: {
    readonly userId?: string;
    readonly startsRun?: StartsRun;
    readonly isQueued?: boolean;
    readonly query?: MessageQuery;
  } = {},
): Promise<Message> {
  const { isQueued = false } = options;
  const own = options.userId === undefined ? Prisma.empty : Prisma.sql`AND user_id = ${options.userId}`;
  const [appended] = await tx.$queryRaw<{ position: number }[]>`
    UPDATE conversations SET ${appendMessageColumns(draft, options.startsRun, isQueued)}
    WHERE id = ${conversationId}::uuid AND tenant_id = ${tenantId} ${own}
    RETURNING message_count AS position`;
  if (appended === undefined)
    throw new NotFoundError(`There is no conversation ${formatId('Conversation', conversationId)}.`);
  const { toolCalls = [], attachments = [], routingDecision = null, guardrailResults = [], ...scalars } = draft;
  return tx.message.create({
    data: {
      ...scalars,
      tenantId,
      conversationId,
      position: isQueued ? null : appended.position,
      attachments: attachments.map(({ knowledgeBaseId = null, ...attachment }) => ({ ...attachment, knowledgeBaseId })),
      routingDecision: routingDecision ?? Prisma.DbNull,
      ...(guardrailResults.length > 0 && {
        guardrailResults: {
          create: guardrailResults.map(({ decision, ...result }) => {
            const { categories, ...rest } = decision;
            return { ...result, step: 0, decision: { ...rest, categories: [...categories] } };
          }),
        },
      }),
      ...(toolCalls.length > 0 && {
        toolCalls: {
          create: toolCalls.map(({ result, ...call }, index) => ({
            ...call,
            conversationId,
            agentId: draft.agentId ?? null,
            step: 0,
            index,
            result: result ?? Prisma.DbNull,
          })),
        },
      }),
    },
    ...options.query,
  });
}
