import { NotFoundError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import type { Message } from '../generated/prisma/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import type { AttachmentDraft } from './attachment.ts';
import type { StoredRoutingDecision } from './routing-decision.ts';
import { makeTitle, untitled } from './text.ts';

/** What to load beside the row: what a document selects. */
export interface MessageQuery {
  readonly include?: Prisma.MessageInclude;
}

/** A message that is to be stored; ids are row ids. */
export interface MessageDraft {
  /** A new one where absent. */
  readonly id?: string;
  readonly role: Message['role'];
  readonly content: string;
  /** COMPLETE where absent. */
  readonly status?: Message['status'];
  /** CHAT where absent. */
  readonly source?: Message['source'];
  readonly agentId?: string | null;
  /** A run of the same conversation. */
  readonly runId?: string | null;
  /** Which model step of the run wrote it, from 0. */
  readonly step?: number | null;
  readonly attachments?: readonly AttachmentDraft[];
  readonly routingDecision?: StoredRoutingDecision | null;
  readonly toolCalls?: readonly ToolCallDraft[];
}

/** A finished tool call that came with a message. */
export interface ToolCallDraft {
  readonly callId: string;
  readonly name: string;
  readonly arguments: string;
  readonly result: Prisma.InputJsonValue | null;
  readonly status: 'SUCCEEDED' | 'FAILED' | 'DENIED' | 'CANCELLED';
  readonly error: string | null;
}

/** What a message that begins a turn does to its conversation. */
export interface StartsRun {
  /** Who gets the floor; null: nobody yet. */
  readonly activeAgentId: string | null;
  /** Whether that agent was asked for: the conversation then does not follow the default agent any more. */
  readonly asked: boolean;
}

/** What changes in the row of a conversation that is given a message: the part of an UPDATE after SET. */
export function appendMessageColumns(draft: Pick<MessageDraft, 'role' | 'content'>, startsRun?: StartsRun): Prisma.Sql {
  const title = draft.role === 'USER' ? makeTitle(draft.content) : untitled;
  const names = title !== untitled;
  const begins = startsRun
    ? Prisma.sql`run_count = run_count + 1, active_agent_id = coalesce(${startsRun.activeAgentId}::uuid, active_agent_id),
      follows_default = follows_default AND NOT ${startsRun.asked},`
    : Prisma.empty;
  return Prisma.sql`${begins}
    message_count = message_count + 1,
    updated_at = greatest(updated_at, clock_timestamp()),
    title = CASE WHEN auto_title AND ${names} THEN ${title} ELSE title END,
    auto_title = auto_title AND NOT ${names}`;
}

/**
 * Puts a message at the end of a conversation, and names an untitled conversation after its first user message.
 *
 * Two statements (more only for tool calls and for what `query` includes). The first one takes the position by raising
 * message_count, and holds the conversation's row until the transaction ends: positions have no gaps and no repeats,
 * whoever writes at the same time. Inside a transaction only: alone, a failure between the two would leave a gap.
 *
 * @param conversationId the row id
 * @param options.startsRun the message begins a turn
 * @param options.userId refuses where the conversation is another user's
 * @throws {NotFoundError} when there is no such conversation
 */
export async function appendMessage(
  tx: Prisma.TransactionClient,
  tenantId: string,
  conversationId: string,
  draft: MessageDraft,
  options: {
    readonly userId?: string;
    readonly startsRun?: StartsRun;
    readonly query?: MessageQuery;
  } = {},
): Promise<Message> {
  const own = options.userId === undefined ? Prisma.empty : Prisma.sql`AND user_id = ${options.userId}`;
  const [taken] = await tx.$queryRaw<{ position: number }[]>`
    UPDATE conversations SET ${appendMessageColumns(draft, options.startsRun)}
    WHERE id = ${conversationId}::uuid AND tenant_id = ${tenantId} ${own}
    RETURNING message_count AS position`;
  if (taken === undefined)
    throw new NotFoundError(`There is no conversation ${formatId('Conversation', conversationId)}.`);
  const { toolCalls = [], attachments = [], routingDecision = null, ...scalars } = draft;
  return tx.message.create({
    data: {
      ...scalars,
      tenantId,
      conversationId,
      position: taken.position,
      attachments: attachments.map(({ knowledgeBaseId = null, ...attachment }) => ({ ...attachment, knowledgeBaseId })),
      routingDecision: routingDecision ?? Prisma.DbNull,
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
