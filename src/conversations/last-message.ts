import { type Conversation, type Message, Prisma } from '../generated/prisma/client.ts';
import { rowBytes } from '../limits/answer-budget.ts';
import { previewSourceLength } from './text.ts';

/** The length of a preview if the document names none, in user-perceived characters. */
export const usualPreviewLength = 100;
/** So much of a content is read for its preview, in code points. */
export const previewLength = previewSourceLength(usualPreviewLength);
/** A code point has at most so many bytes. */
const bytesPerCodePoint = 4;

/** Columns of the last message of a conversation, beside its own: all that are small, and the beginning of the content. */
export type LastMessageColumns = {
  readonly [Name in keyof Message as `last_${Name}`]: Message[Name] | null;
};

/** Reads them from `last`: of what may have any size, only the beginning of the content. */
export const lastMessageColumns = Prisma.sql`
  last.id AS "last_id", last.tenant_id AS "last_tenantId", last.conversation_id AS "last_conversationId",
  last.position AS "last_position", last.parent_id AS "last_parentId", last.number AS "last_number",
  last.is_active AS "last_isActive", last.role AS "last_role", last.status AS "last_status",
  left(last.content, ${Prisma.raw(String(previewLength))}) AS "last_content", last.agent_id AS "last_agentId",
  last.run_id AS "last_runId", last.step AS "last_step", last.source AS "last_source",
  last.finish_reason AS "last_finishReason", last.created_at AS "last_createdAt", last.bytes AS "last_bytes",
  last.creation_key AS "last_creationKey", last.creation_hash AS "last_creationHash"`;

/** Joins the last message of each conversation of `page`: the one whose position is the number of all. */
export function joinLastMessage(tenantId: string): Prisma.Sql {
  return Prisma.sql`LEFT JOIN messages AS last ON last.tenant_id = ${tenantId}
    AND last.conversation_id = page.id AND last.position = page."messageCount"`;
}

/** The last messages that were read with their conversations. */
const lastMessages = new WeakMap<object, Message | null>();
/** Messages of which only the beginning of the content was read. */
const beginnings = new WeakSet<object>();

/** The last message that was read with a conversation; null: it has none; undefined: none was read with it. */
export function findLastMessage(conversation: object): Message | null | undefined {
  return lastMessages.get(conversation);
}

/** Whether the content of a message may be only its beginning. */
export function isBeginning(message: object): boolean {
  return beginnings.has(message);
}

/**
 * Notes the last message that was read with a conversation.
 * @returns the bytes that it takes of the answer
 */
export function noteLastMessage(row: Conversation & LastMessageColumns): number {
  const message = toMessage(row);
  lastMessages.set(row, message);
  if (message === null) return 0;
  if (message.content.length >= previewLength) beginnings.add(message);
  return sizeOfBeginning(message);
}

/** The bytes that the beginning of a message takes of the answer. */
export function sizeOfBeginning({ bytes }: Pick<Message, 'bytes'>): number {
  return Math.min(bytes, previewLength * bytesPerCodePoint) + rowBytes;
}

function toMessage(row: LastMessageColumns): Message | null {
  const { last_id: id, last_tenantId: tenantId, last_conversationId: conversationId, last_role: role } = row;
  const { last_status: status, last_content: content, last_source: source, last_createdAt: createdAt } = row;
  const { last_bytes: bytes } = row;
  if (
    id === null ||
    tenantId === null ||
    conversationId === null ||
    role === null ||
    status === null ||
    content === null ||
    source === null ||
    createdAt === null ||
    bytes === null
  ) {
    return null;
  }
  return {
    id,
    tenantId,
    conversationId,
    position: row.last_position,
    parentId: row.last_parentId,
    number: row.last_number,
    isActive: row.last_isActive ?? true,
    role,
    status,
    content,
    agentId: row.last_agentId,
    runId: row.last_runId,
    step: row.last_step,
    attachments: [],
    routingDecision: null,
    transfers: null,
    source,
    finishReason: row.last_finishReason,
    createdAt,
    bytes,
    creationKey: row.last_creationKey,
    creationHash: row.last_creationHash,
    // Only whoever indexes messages reads it.
    isIndexed: true,
  };
}
