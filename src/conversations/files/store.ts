import type { Viewer } from '../../auth/viewer.ts';
import type { Database } from '../../database/client.ts';
import { type Conversation, Prisma } from '../../generated/prisma/client.ts';
import { importRuns } from '../../runs/transitions/import-runs.ts';
import { insertConversation, type NewConversation } from '../create.ts';
import type { CheckedMessage, CheckedParts } from './check.ts';
import type { ConversationInFile } from './format.ts';

/** Rows that one statement writes. */
const batch = 200;
/** How long the transaction of one conversation may take, in milliseconds. */
const timeout = 60_000;

/** A conversation that is to be stored. */
export interface ImportedConversation {
  readonly plan: NewConversation;
  readonly parsed: Pick<ConversationInFile, 'isArchived' | 'isPinned' | 'createdAt' | 'updatedAt'>;
  readonly checked: CheckedParts;
}

/**
 * Stores an imported conversation in one transaction. Messages are written without a place and get theirs afterwards, so that
 * the feed has one event for the conversation and none for each message.
 */
export function storeImported(
  viewer: Viewer,
  db: Database,
  { plan, parsed, checked }: ImportedConversation,
): Promise<Conversation> {
  return db.$transaction(
    async (tx) => {
      const { id: conversationId, scenarioId } = await insertConversation(viewer, tx, {
        ...plan,
        title: checked.title,
      });
      const { tenantId, userId } = viewer;
      const { messages, runs, toolCalls, handoffs } = checked;
      for (const some of inBatches(messages)) {
        await tx.message.createMany({
          data: some.map(({ message, number }) => toRow(message, { tenantId, conversationId, number })),
        });
      }
      await importRuns(tx, { tenantId, userId, conversationId }, runs);
      await placeMessages(tx, tenantId, conversationId, messages);
      await storeDetails(tx, viewer, scenarioId, messages);
      for (let at = 0; at < toolCalls.length; at += batch) {
        await tx.toolCall.createMany({
          data: toolCalls.slice(at, at + batch).map((call) => ({
            ...call,
            tenantId,
            conversationId,
            result: call.result ?? Prisma.DbNull,
            transfers: call.transfers ?? Prisma.DbNull,
          })),
        });
      }
      for (let at = 0; at < handoffs.length; at += batch) {
        await tx.handoff.createMany({
          data: handoffs.slice(at, at + batch).map((handoff) => ({ ...handoff, tenantId })),
        });
      }
      const active = messages.filter(({ position }) => position !== null);
      return tx.conversation.update({
        where: { id: conversationId, tenantId, userId },
        data: {
          messageCount: active.length,
          runCount: runs.length,
          isArchived: parsed.isArchived,
          isPinned: parsed.isPinned,
          createdAt: parsed.createdAt,
          updatedAt: parsed.updatedAt,
        },
      });
    },
    { timeout },
  );
}

function* inBatches(messages: readonly CheckedMessage[]) {
  const numbered = messages.map((message, index) => ({ message, number: index + 1 }));
  for (let at = 0; at < numbered.length; at += batch) yield numbered.slice(at, at + batch);
}

function toRow(
  message: CheckedMessage,
  owner: { readonly tenantId: string; readonly conversationId: string; readonly number: number },
) {
  const { id, parentId, role, status, content, agentId, step, source, finishReason, createdAt } = message;
  return {
    ...owner,
    ...{ id, parentId, role, status, content, agentId, step, source, finishReason, createdAt },
    isActive: false,
    attachments: message.attachments,
    routingDecision: message.routingDecision ?? Prisma.DbNull,
    transfers: message.transfers ?? Prisma.DbNull,
  };
}

/** Gives messages their runs, which name messages themselves, and their places in the active branch. */
async function placeMessages(
  tx: Prisma.TransactionClient,
  tenantId: string,
  conversationId: string,
  messages: readonly CheckedMessage[],
): Promise<void> {
  const placed = messages.map(({ id, runId, position }) => ({ id, runId, position }));
  for (let at = 0; at < placed.length; at += batch * 5) {
    await tx.$executeRaw`
      UPDATE messages AS m SET run_id = place."runId", position = place.position, is_active = place.position IS NOT NULL
      FROM json_to_recordset(${JSON.stringify(placed.slice(at, at + batch * 5))}::json)
        AS place (id uuid, "runId" uuid, position integer)
      WHERE m.tenant_id = ${tenantId} AND m.conversation_id = ${conversationId}::uuid AND m.id = place.id`;
  }
}

async function storeDetails(
  tx: Prisma.TransactionClient,
  { tenantId, userId }: Viewer,
  scenarioId: string | null,
  messages: readonly CheckedMessage[],
): Promise<void> {
  for (let at = 0; at < messages.length; at += batch) {
    const some = messages.slice(at, at + batch);
    const details = some.filter(({ hasData, reasoning }) => hasData || reasoning !== null);
    await tx.messageDetails.createMany({
      data: details.map(({ id, hasData, data, reasoning }) => ({
        tenantId,
        messageId: id,
        data: hasData ? (data ?? Prisma.JsonNull) : Prisma.DbNull,
        reasoning,
      })),
    });
    await tx.citation.createMany({
      data: some.flatMap(({ id, citations }) =>
        citations.map((citation) => ({ ...citation, tenantId, messageId: id })),
      ),
    });
    await tx.feedback.createMany({
      data: some.flatMap(({ id, agentId, feedback }) =>
        feedback === null ? [] : [{ ...feedback, tenantId, userId, messageId: id, agentId, scenarioId }],
      ),
    });
    await tx.guardrailResult.createMany({
      data: some.flatMap(({ id, guardrailResults }) =>
        guardrailResults.map(({ decision: { categories, ...decision }, ...result }) => ({
          ...result,
          tenantId,
          messageId: id,
          step: 0,
          decision: { ...decision, categories: [...categories] },
        })),
      ),
    });
  }
}
