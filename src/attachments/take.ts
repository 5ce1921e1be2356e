import { ConflictError, NotFoundError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { badInput, type InputPath } from '../api/input.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { Attachment } from '../generated/prisma/client.ts';
import { pathOfAttachment } from './files.ts';

/** The attachments of one message, those by address included. */
export const maxAttachments = 20;

/** An upload as its message mentions it. */
export interface TakenAttachment {
  /** The public id. */
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly url: string;
  readonly size: number;
  readonly knowledgeBaseId: null;
  /** What models are not given of it, and why. Null: they are given all of it. */
  readonly notice: string | null;
}

/**
 * Reads the uploads that a message names, in their order; one statement, and none if it names none.
 * @param ids the public ids
 * @param options.conversationId the row id of the conversation of the message
 * @param options.beside how many other attachments the message has
 * @throws {BadUserInputError} for a malformed id, one that stands there twice, or too many; {@link NotFoundError} if one does
 *   not exist or has expired; {@link ForbiddenError} if it is another user's; {@link ConflictError} if it belongs to another
 *   conversation
 */
export async function findTaken(
  viewer: Viewer,
  db: Pick<Db, 'attachment'>,
  ids: readonly string[],
  {
    conversationId,
    beside,
    path,
  }: { readonly conversationId: string; readonly beside: number; readonly path: InputPath },
): Promise<TakenAttachment[]> {
  if (ids.length === 0) return [];
  const rows = ids.map((id, index) => parseId('Attachment', id, [...path, index]));
  if (new Set(rows).size < rows.length) throw badInput(path, 'must not name an attachment twice');
  if (ids.length + beside > maxAttachments)
    throw badInput(path, `must name at most ${maxAttachments} attachments, those by URL included`);
  const select = {
    ...{ id: true, tenantId: true, userId: true, conversationId: true },
    ...{ name: true, mediaType: true, size: true, notice: true, expiresAt: true },
  } as const;
  // One of another tenant is read as well: it is told from one that does not exist by notFoundOrForbidden alone.
  const found = new Map(
    (await db.attachment.findMany({ where: { id: { in: rows } }, select })).map((row) => [row.id, row]),
  );
  return rows.map((row) => {
    const file = found.get(row);
    const id = formatId('Attachment', row);
    if (file === undefined || file.tenantId !== viewer.tenantId || file.userId !== viewer.userId)
      throw notFoundOrForbidden(viewer, `attachment ${id}`, file ?? null);
    if (file.conversationId === null && isExpired(file)) throw new NotFoundError(`The attachment ${id} has expired.`);
    if (file.conversationId !== null && file.conversationId !== conversationId)
      throw new ConflictError(`The attachment ${id} belongs to another conversation. Upload the file again.`);
    return mentionOf(file);
  });
}

/** An upload as messages mention it. */
export function mentionOf(file: Pick<Attachment, 'id' | 'name' | 'mediaType' | 'size' | 'notice'>): TakenAttachment {
  const id = formatId('Attachment', file.id);
  return {
    id,
    name: file.name,
    type: file.mediaType,
    url: pathOfAttachment(id),
    size: file.size,
    knowledgeBaseId: null,
    notice: file.notice,
  };
}

function isExpired({ expiresAt }: Pick<Attachment, 'expiresAt'>): boolean {
  return expiresAt !== null && expiresAt <= new Date();
}

/** Uploads with the text that stands in them, for those who check it; one statement, and none if there are no uploads. */
export async function withTexts<Attached extends { readonly id: string | null }>(
  { tenantId, userId }: Viewer,
  db: Pick<Db, 'attachment'>,
  attachments: readonly Attached[],
): Promise<(Attached & { readonly text?: string })[]> {
  const ids = rowIds(attachments);
  if (ids.length === 0) return [...attachments];
  const where = { tenantId, userId, id: { in: ids }, text: { not: null } };
  const found = await db.attachment.findMany({ where, select: { id: true, text: true } });
  const texts = new Map(found.map(({ id, text }) => [formatId('Attachment', id), text]));
  return attachments.map((attached) => {
    const text = texts.get(attached.id ?? '');
    return text == null ? attached : { ...attached, text };
  });
}

/** What a check has made of attachments: without their texts, and the texts that it has changed, by public id. */
export function takeTexts<Attached extends { readonly id: string | null; readonly text?: string }>(
  before: readonly Attached[],
  after: readonly Attached[],
): { readonly attachments: Omit<Attached, 'text'>[]; readonly changed: ReadonlyMap<string, string> } {
  const changed = new Map<string, string>();
  const attachments = after.map(({ text, ...attached }, index) => {
    if (attached.id !== null && text !== undefined && text !== before[index]?.text) changed.set(attached.id, text);
    return attached;
  });
  return { attachments, changed };
}

function rowIds(attachments: readonly { readonly id: string | null }[]): string[] {
  return attachments.flatMap(({ id }) => (id === null ? [] : [parseId('Attachment', id, ['id'])]));
}

/**
 * Gives the uploads of a message to its conversation, in the transaction that stores the message: from then on they are deleted
 * with it. A second time it changes nothing.
 * @param changedTexts what guardrails have made of the texts that stand in them, by public id: models are given that
 * @throws {ConflictError} if one was deleted meanwhile, or was given to another conversation
 */
export async function takeAttachments(
  tx: Pick<Db, '$executeRaw'>,
  { tenantId, userId }: Viewer,
  attachments: readonly { readonly id: string | null }[],
  conversationId: string,
  changedTexts: ReadonlyMap<string, string> = new Map(),
): Promise<void> {
  const ids = rowIds(attachments);
  if (ids.length === 0) return;
  const taken = await tx.$executeRaw`
    UPDATE attachments SET conversation_id = ${conversationId}::uuid, expires_at = NULL
    WHERE tenant_id = ${tenantId} AND user_id = ${userId} AND id = ANY(${ids}::uuid[])
      AND (conversation_id = ${conversationId}::uuid OR (conversation_id IS NULL AND expires_at > now()))`;
  if (taken !== ids.length)
    throw new ConflictError('An attachment was deleted meanwhile, or belongs to another conversation now.');
  for (const [id, text] of changedTexts)
    await tx.$executeRaw`
      UPDATE attachments SET text = ${text}
      WHERE tenant_id = ${tenantId} AND user_id = ${userId} AND id = ${parseId('Attachment', id, ['id'])}::uuid`;
}
