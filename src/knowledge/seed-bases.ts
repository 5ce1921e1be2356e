import { randomUUIDv7 } from 'node:crypto';
import type { Prisma } from '../generated/prisma/client.ts';
import { insertDocuments } from './insert-documents.ts';
import type { KnowledgeRuntime } from './runtime.ts';

/** A knowledge base that new tenants get. */
export interface SeededBase {
  readonly name: string;
  readonly description: string | null;
  readonly language: string;
  /** In Markdown. */
  readonly documents: readonly { readonly title: string; readonly data: Buffer }[];
}

/**
 * Adds knowledge bases to a tenant, each with its documents, if the tenant has none of that name. They are indexed when the
 * transaction has committed.
 * @param tx a transaction that has locked the tenant's row
 */
export async function addMissingBases(
  tx: Prisma.TransactionClient,
  knowledge: Pick<KnowledgeRuntime, 'jobs' | 'bounds'>,
  tenantId: string,
  bases: readonly SeededBase[],
): Promise<void> {
  if (bases.length === 0) return;
  const names = bases.map(({ name }) => name);
  const where = { tenantId, projectId: null, deletedAt: null, name: { in: names } };
  const present = new Set((await tx.knowledgeBase.findMany({ where, select: { name: true } })).map(({ name }) => name));
  for (const { documents, ...columns } of bases.filter(({ name }) => !present.has(name))) {
    const base = await tx.knowledgeBase.create({
      data: { ...columns, tenantId },
      select: { id: true, tenantId: true },
    });
    const markdown = { mediaType: 'text/markdown', url: null, metadata: {} };
    const added = documents.map((document) => ({ ...document, ...markdown, id: randomUUIDv7() }));
    await insertDocuments(tx, knowledge, base, added);
  }
}
