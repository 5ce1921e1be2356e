import type { Db } from '../database/client.ts';
import type { KeyRing, SecretBinding } from './key-ring.ts';

/** Whose a secret is: an agent's, an HTTP tool's, an MCP server's, a knowledge base's or a webhook's, by row id. */
export type SecretOwner =
  | { readonly agentId: string }
  | { readonly toolId: string }
  | { readonly mcpServerId: string }
  | { readonly knowledgeBaseId: string }
  | { readonly webhookId: string };

/** The columns of a secret that it takes to open it. */
export interface StoredSecret {
  readonly agentId: string | null;
  readonly toolId: string | null;
  readonly mcpServerId: string | null;
  readonly knowledgeBaseId: string | null;
  readonly webhookId: string | null;
  readonly name: string;
  readonly origin: string;
  readonly sealed: string;
}

/** Secrets shorter than this are shown no part of. */
const shortestWithHint = 12;

/** The last four characters of a secret, for people; nothing where they would give too much of it away. */
export function suggestFix(secret: string): string {
  return secret.length < shortestWithHint ? '' : [...secret].slice(-4).join('');
}

/**
 * Stores a secret in the place of the one that its owner had under this name. Give a transaction where the owner
 * changes as well.
 * @param secret.name what it is for: llm, tts or stt of an agent; embedding of a base; current or previous of a webhook; a
 *   header's name in lower case
 * @param secret.origin the only origin (scheme, host and port) that it may be sent to
 * @param secret.value the secret itself
 */
export async function putSecret(
  db: Db,
  keys: KeyRing,
  owner: SecretOwner & { readonly tenantId: string },
  secret: { readonly name: string; readonly origin: string; readonly value: string },
): Promise<void> {
  const { name, origin, value } = secret;
  const sealed = await keys.seal(value, { owner: describeOwner(owner), name, origin });
  await dropSecret(db, owner, name);
  await db.secret.create({ data: { ...owner, name, origin, hint: suggestFix(value), ...sealed } });
}

/** Deletes the secret that an owner has under a name, if there is one. @returns whether there was */
export async function dropSecret(db: Db, owner: SecretOwner, name: string): Promise<boolean> {
  const { count } = await db.secret.deleteMany({ where: { ...ownerColumns(owner), name } });
  return count > 0;
}

/**
 * Opens a stored secret.
 * @throws {SecretUnreadableError} when the ring does not have its key, or the row was tampered with
 */
export function openSecret(keys: KeyRing, row: StoredSecret): Promise<string> {
  return keys.open(row.sealed, bindingOf(row));
}

/**
 * Opens a signing secret of a webhook.
 * @param webhookId the row id
 * @throws {SecretUnreadableError} as `openSecret`
 */
export function openWebhookSecret(
  keys: KeyRing,
  webhookId: string,
  { name, sealed }: { readonly name: string; readonly sealed: string },
): Promise<string> {
  return keys.open(sealed, { owner: describeOwner({ webhookId }), name, origin: '' });
}

/** What a stored secret is bound to. */
export function bindingOf(row: StoredSecret): SecretBinding {
  const { name, origin } = row;
  if (row.agentId !== null) return { owner: describeOwner({ agentId: row.agentId }), name, origin };
  if (row.toolId !== null) return { owner: describeOwner({ toolId: row.toolId }), name, origin };
  if (row.mcpServerId !== null) return { owner: describeOwner({ mcpServerId: row.mcpServerId }), name, origin };
  const { knowledgeBaseId } = row;
  if (knowledgeBaseId !== null) return { owner: describeOwner({ knowledgeBaseId }), name, origin };
  if (row.webhookId !== null) return { owner: describeOwner({ webhookId: row.webhookId }), name, origin };
  throw new Error('A secret belongs to nobody.');
}

function describeOwner(owner: SecretOwner): string {
  if ('agentId' in owner) return `agent:${owner.agentId}`;
  if ('knowledgeBaseId' in owner) return `knowledgeBase:${owner.knowledgeBaseId}`;
  if ('toolId' in owner) return `tool:${owner.toolId}`;
  return 'mcpServerId' in owner ? `mcpServer:${owner.mcpServerId}` : `webhook:${owner.webhookId}`;
}

function ownerColumns(owner: SecretOwner): SecretOwner {
  if ('agentId' in owner) return { agentId: owner.agentId };
  if ('knowledgeBaseId' in owner) return { knowledgeBaseId: owner.knowledgeBaseId };
  if ('toolId' in owner) return { toolId: owner.toolId };
  return 'mcpServerId' in owner ? { mcpServerId: owner.mcpServerId } : { webhookId: owner.webhookId };
}
