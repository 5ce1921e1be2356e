import { Prisma } from '../generated/prisma/client.ts';
import { dropSecret, putSecret, suggestFix } from '../secrets/stored-secrets.ts';
import type { EmbeddingDraft } from './embedding-input.ts';
import type { KnowledgeRuntime } from './runtime.ts';
import { embeddingSecretName, locateModel } from './vectors/embedding-config.ts';

type Column = Prisma.InputJsonObject | typeof Prisma.DbNull;

/** The row ids of a base. */
interface BaseOwner {
  readonly tenantId: string;
  readonly knowledgeBaseId: string;
}

/**
 * Writes the key of a base's embedding provider, and returns what its column is to hold. A new key replaces the old one, an
 * empty one removes it. If none is given, the old one stays while the provider stays on the same origin.
 * @param draft null: the base is to use the model of the environment
 * @param old the key that the base has
 */
export async function writeEmbedding(
  tx: Prisma.TransactionClient,
  { keys }: Pick<KnowledgeRuntime, 'keys'>,
  owner: BaseOwner,
  draft: EmbeddingDraft | null,
  old: { readonly origin: string; readonly hint: string } | null = null,
): Promise<Column> {
  const name = embeddingSecretName;
  if (draft?.apiKey) {
    const { config, origin, apiKey } = draft;
    await putSecret(tx, keys, owner, { name, origin, value: apiKey });
    return { ...config, apiKeyHint: suggestFix(apiKey) };
  }
  const kept = draft?.apiKey === null && old?.origin === draft.origin ? old : null;
  if (old !== null && kept === null) await dropSecret(tx, owner, name);
  return draft === null ? Prisma.DbNull : { ...draft.config, apiKeyHint: kept?.hint ?? null };
}

/**
 * Writes the embedding provider of a base whose row the transaction has locked: of two changes at once, the second sees the
 * first one's key.
 * @returns whether its vectors cannot be compared with those of the new one: its documents have to be indexed again, and until
 *   one is, searches find it by its words
 */
export async function changeEmbedding(
  tx: Prisma.TransactionClient,
  knowledge: Pick<KnowledgeRuntime, 'keys' | 'embeddingDefault'>,
  owner: BaseOwner,
  draft: EmbeddingDraft | null,
): Promise<boolean> {
  const { tenantId, knowledgeBaseId } = owner;
  const where = { tenantId_id: { tenantId, id: knowledgeBaseId } };
  const before = await tx.knowledgeBase.findUnique({ where, select: { embedding: true, secrets: true } });
  if (before === null) return false;
  const old = before.secrets.find(({ name }) => name === embeddingSecretName);
  const embedding = await writeEmbedding(tx, knowledge, owner, draft, old);
  await tx.knowledgeBase.update({ where, data: { embedding }, select: { id: true } });
  const keyOf = (column: unknown) => locateModel(knowledge.embeddingDefault, column)?.key;
  return keyOf(before.embedding) !== keyOf(draft === null ? null : draft.config);
}
