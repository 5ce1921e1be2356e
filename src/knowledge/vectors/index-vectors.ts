import { observeEmbedding } from '../../telemetry/knowledge.ts';
import { resolveEmbedding } from './embedding-config.ts';
import type { VectorRuntime } from './runtime.ts';
import { copyVectors, dropOtherVectors, insertVectors, listTextsToEmbed } from './store-vectors.ts';

/** Texts that are embedded in one request, with the probe of the model, before their vectors are stored. What was stored is not embedded again after a restart. */
const textsAtOnce = 40;

/** A document whose texts are embedded. Ids are row ids. */
export interface DocumentToEmbed {
  readonly tenantId: string;
  readonly knowledgeBaseId: string;
  readonly documentId: string;
  /** Of the chunks. */
  readonly generation: number;
}

/**
 * Gives each chunk of a document a vector of its base's model, if there are vectors: those that the tenant has for the same
 * text are used again, the others are made by the provider. Vectors of another model are deleted then. It can be called again
 * after a failure, and goes on where it stopped.
 * @param options.onProgress told how many texts are done, after each batch
 * @throws {ProviderError} for every failure of the provider; what was stored stays
 * @throws {Error} if the model is replaced meanwhile: the next attempt uses the new one
 * @throws {SecretUnreadableError} if the key of the base cannot be decrypted
 * @throws the signal's reason when it is aborted
 */
export async function indexVectors(
  runtime: VectorRuntime,
  document: DocumentToEmbed,
  { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress?: (part: number) => Promise<void> },
): Promise<void> {
  const { db, keys, fallback } = runtime.deps;
  const { tenantId, knowledgeBaseId, documentId, generation } = document;
  if (!runtime.isAvailable) return;
  const row = await db.knowledgeBase.findUnique({
    where: { tenantId_id: { tenantId, id: knowledgeBaseId } },
    select: { embedding: true, secrets: true },
  });
  if (row === null) return;
  const model = await resolveEmbedding(keys, fallback, { column: row.embedding, secrets: row.secrets });
  const modelKey = model === null ? '' : await runtime.findVersion(tenantId, model, signal);
  const base = { tenantId, knowledgeBaseId, modelKey };
  const drop = () => dropOtherVectors(db, base, { documentId, column: row.embedding });
  if (model === null) return drop();
  await copyVectors(db, base, documentId, generation);
  const [counted] = await db.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM knowledge_chunks
    WHERE tenant_id = ${tenantId} AND knowledge_base_id = ${knowledgeBaseId}::uuid
      AND document_id = ${documentId}::uuid AND generation = ${generation}::int`;
  for (let done = 0; ; ) {
    signal.throwIfAborted();
    const texts = await listTextsToEmbed(db, base, { documentId, generation, max: textsAtOnce });
    if (texts.length === 0) break;
    const embedded = await observeEmbedding('index', texts.length, () =>
      runtime.embed(
        tenantId,
        model,
        texts.map(({ text }) => text),
        signal,
      ),
    );
    // The next attempt begins with the new one: a document has vectors of one model.
    if (embedded.modelKey !== modelKey) throw new Error('Another embedding model answers to the same name.');
    await insertVectors(db, base, texts, embedded.vectors);
    done += texts.length;
    await onProgress?.(Math.min(1, done / Math.max(1, counted?.count ?? 1)));
  }
  await drop();
}
