import type { Db } from '../../database/client.ts';
import type { KeyRing } from '../../secrets/key-ring.ts';
import { dropSecret, putSecret } from '../../secrets/stored-secrets.ts';

type Owner = ({ readonly toolId: string } | { readonly mcpServerId: string }) & { readonly tenantId: string };

/** Secret headers as they are shown to people. */
export const shownSecrets = { select: { name: true, hint: true }, orderBy: { name: 'asc' } } as const;

/**
 * Writes the secret headers of a tool or a server. What is not given stays, unless the origin is another now: a secret
 * is for one origin only, and is dropped rather than sent to the next.
 * @param origin where they may be sent
 * @param given null: the header is taken away
 * @param before what is stored
 * @returns the names of those that were dropped because of the origin
 */
export async function settleSecrets(
  tx: Db,
  keys: KeyRing,
  owner: Owner,
  origin: string,
  given: readonly { readonly name: string; readonly value?: string | null | undefined }[],
  before: readonly { readonly name: string; readonly origin: string }[],
): Promise<string[]> {
  for (const { name, value } of given) {
    if (typeof value === 'string') await putSecret(tx, keys, owner, { name, origin, value });
    else await dropSecret(tx, owner, name);
  }
  const named = new Set(given.map(({ name }) => name));
  const stale = before.filter((secret) => secret.origin !== origin && !named.has(secret.name));
  for (const { name } of stale) await dropSecret(tx, owner, name);
  return stale.map(({ name }) => name).sort();
}

/** The names that `settleSecrets` gave, where the row comes fresh from an update. */
export function listDropped(row: { readonly id: string; readonly droppedSecretHeaders?: readonly string[] }): string[] {
  return [...(row.droppedSecretHeaders ?? [])];
}
