import { randomUUIDv7 } from 'node:crypto';
import { badInput, type InputPath } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import { type AccessibleBase, requireBase } from './access.ts';
import { insertDocuments } from './insert-documents.ts';
import { findFormat, supportedMediaTypes, unknownMediaType } from './parse/media-types.ts';
import type { KnowledgeRuntime } from './runtime.ts';

/** What adding the attachments of messages to knowledge bases takes. */
export type AttachingRuntime = Pick<KnowledgeRuntime, 'db' | 'jobs' | 'guard' | 'changes' | 'changeLimit' | 'bounds'>;

/** An attachment of a message, of which a base may be to make a document. */
interface KnowledgeAttachment {
  readonly name: string;
  readonly type: string;
  readonly url: string;
  /** The public id. Null: it is for no base. */
  readonly knowledgeBaseId: string | null;
}

/** The bases that the attachments of a message name, and that its viewer may change, by their public ids. */
export type AttachedBases = ReadonlyMap<string, AccessibleBase>;

const unknownType = 'application/octet-stream';

/** Whether a message adds a document to a knowledge base. */
export function namesKnowledgeBase(attachments: readonly Pick<KnowledgeAttachment, 'knowledgeBaseId'>[]): boolean {
  return attachments.some(({ knowledgeBaseId }) => knowledgeBaseId !== null);
}

/**
 * Checks that attachments can become documents of the bases that they name, before their message is stored. Each of
 * them counts as a change of knowledge.
 * @param message.projectId the row id of the project of its conversation; null: none
 * @param message.path of the attachments in the arguments
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the field, also if a base is of another project; {@link NotFoundError} and {@link ForbiddenError}
 *   for a base; {@link ConflictError} if its project is archived
 */
export async function checkAttachedDocuments(
  viewer: Viewer,
  { db, guard, changeLimit }: AttachingRuntime,
  attachments: readonly KnowledgeAttachment[],
  { projectId, path }: { readonly projectId: string | null; readonly path: InputPath },
): Promise<AttachedBases> {
  const bases = new Map<string, AccessibleBase>();
  for (const [index, { knowledgeBaseId, name, type, url }] of attachments.entries()) {
    if (knowledgeBaseId === null) continue;
    const refuse = (field: string, why: string) => badInput([...path, index, field], why);
    await changeLimit.take(viewer);
    if (name.trim() === '') throw refuse('name', 'must not be blank: it becomes the title of a document');
    if (findFormat(type) === null && type !== unknownType)
      throw refuse('type', `must be ${supportedMediaTypes}, or ${unknownType}: a document is made of it`);
    const refusal = guard.explainRefusal(url);
    if (refusal !== null) throw refuse('url', refusal);
    if (bases.has(knowledgeBaseId)) continue;
    const at = [...path, index, 'knowledgeBaseId'];
    const base = await requireBase(viewer, db, knowledgeBaseId, 'change', at);
    // What is said in a project stays there. Who talks outside of projects takes to one what is the user's own.
    if (projectId !== null && base.projectId !== null && base.projectId !== projectId)
      throw badInput(
        at,
        'must name a knowledge base of the project of the conversation, or one that belongs to no project',
      );
    bases.set(knowledgeBaseId, base);
  }
  return bases;
}

/**
 * Adds the attachments of a message to the bases that they name, in the transaction that stores the message: once, and
 * not without it. They are indexed from their addresses when it has committed.
 * @param attachments as they are stored: what guardrails have replaced is in no document either
 * @throws {ConflictError} if a base has too many documents, or was deleted meanwhile
 */
export async function addAttachedDocuments(
  tx: Prisma.TransactionClient,
  knowledge: AttachingRuntime,
  bases: AttachedBases,
  attachments: readonly KnowledgeAttachment[],
): Promise<void> {
  // In one order, so that messages that name the same bases do not wait for each other in a circle.
  const inOrder = [...bases].sort(([, one], [, other]) => (one.id < other.id ? -1 : 1));
  for (const [publicId, base] of inOrder) {
    const documents = attachments
      .filter(({ knowledgeBaseId }) => knowledgeBaseId === publicId)
      .map(({ name, type, url }) => {
        const mediaType = findFormat(type) === null ? unknownMediaType : type;
        return { id: randomUUIDv7(), title: name, mediaType, url, metadata: {}, data: null };
      });
    await insertDocuments(tx, knowledge, base, documents);
  }
}

/** Wakes the readers of bases that documents were added to. */
export function wakeAttachedBases({ changes }: AttachingRuntime, bases: AttachedBases): void {
  for (const { id } of bases.values()) changes.wake(id);
}
