import { buildConnection, type Connection } from '../api/paging.ts';
import type { Viewer } from '../auth/viewer.ts';
import { readRowPage } from '../database/keyset.ts';
import { Prisma } from '../generated/prisma/client.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import {
  type ShownConversation,
  type ShownLastMessage,
  shownConversationColumns,
  shownLastMessageColumns,
} from './columns.ts';
import { joinLastMessage, previewLength, sizeOfBeginning, usualPreviewLength } from './last-message.ts';
import { type ListOptions, planList, totalColumn } from './list.ts';
import { readMessagesById } from './load-messages.ts';
import { previewMessage } from './preview.ts';
import { makePreview } from './text.ts';

/** A conversation of a list that is read in one statement. */
export interface ListedConversation {
  readonly row: ShownConversation;
  /** Null: it has none, or none was asked for. Of its content there is only the beginning. */
  readonly last: ShownLastMessage | null;
  /** The preview of the last message. */
  readonly preview: string;
}

/** What a list is asked for beside the conversations. */
export interface ListedParts {
  readonly total: boolean;
  readonly lastMessage: boolean;
  readonly preview: boolean;
}

type LastOrNone = ShownLastMessage | { readonly [Name in keyof ShownLastMessage]: null };

/**
 * A page of the viewer's conversations as `listConversations` reads it, of the columns that most lists show: in one
 * statement, unless the preview of a message needs more than its beginning.
 * @returns null if a message is too large for the answer: then only its own field fails
 * @throws {BadUserInputError} if a page argument or the search is invalid
 */
export async function listShown(
  viewer: Viewer,
  reads: SizedReads,
  options: ListOptions,
  parts: ListedParts,
): Promise<Connection<ListedConversation> | null> {
  const { list, page, isPart, count } = await planList(viewer, reads.db, options);
  const readsTotal = parts.total && !isPart;
  const columns = [
    ...(readsTotal ? [totalColumn(viewer, options.isArchived)] : []),
    ...(parts.lastMessage ? [shownLastMessageColumns] : []),
  ];
  const tables = parts.lastMessage ? joinLastMessage(viewer.tenantId) : Prisma.empty;
  const found = await readRowPage<ShownConversation & Partial<LastOrNone> & { readonly total?: number }>(
    reads.db,
    {
      ...list,
      columns: shownConversationColumns,
      ...(columns.length > 0 ? { joined: { columns: Prisma.join(columns), tables } } : {}),
    },
    page,
  );
  const total = found.rows[0]?.node.total;
  const listed = found.rows.map(({ node }) => ({ node, last: hasLast(node) ? node : null }));
  await reads.answer.take(
    listed.reduce((sum, { last }) => sum + (last ? sizeOfBeginning({ bytes: last.last_bytes }) : 0), 0),
  );
  const previews = parts.preview
    ? await makePreviews(
        viewer,
        reads,
        listed.map(({ last }) => last),
      )
    : [];
  if (previews === null) return null;
  const rows = found.rows.map(({ key, node }, index) => ({
    key,
    node: { row: node, last: listed[index]?.last ?? null, preview: previews[index] ?? '' },
  }));
  return buildConnection(page, { ...found, rows }, () => total ?? count());
}

function hasLast<Row extends object>(row: Row & Partial<LastOrNone>): row is Row & ShownLastMessage {
  return typeof row.last_id === 'string';
}

/** The preview of each message. Null: one of those that need their whole content is too large. */
async function makePreviews(
  viewer: Viewer,
  reads: SizedReads,
  messages: readonly (ShownLastMessage | null)[],
): Promise<string[] | null> {
  const previews = messages.map((message) => {
    if (message === null) return '';
    const { last_content: content, last_status: status } = message;
    return previewMessage({ status, content }, content.length >= previewLength, usualPreviewLength);
  });
  const missing = messages.flatMap((message, index) => (previews[index] === null && message ? [message.last_id] : []));
  const whole = new Map<string, string>();
  if (missing.length > 0) {
    for (const message of await readMessagesById(viewer, reads, missing, {})) {
      if (message instanceof Error) return null;
      // One that was deleted in the meantime has no text.
      if (message) whole.set(message.id, makePreview(message.content, usualPreviewLength));
    }
  }
  return previews.map((preview, index) => preview ?? whole.get(messages[index]?.last_id ?? '') ?? '');
}
