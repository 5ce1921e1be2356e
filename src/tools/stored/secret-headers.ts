import type { Db } from '../../database/client.ts';
import type { KeyRing } from '../../secrets/key-ring.ts';
import { dropSecret, putSecret } from '../../secrets/stored-secrets.ts';

type Owner = ({ readonly toolId: string } | { readonly mcpServerId: string }) & { readonly tenantId: string };

/** The columns of secret headers that people may see. */
export const shownSecrets = { select: { name: true, hint: true }, orderBy: { name: 'asc' } } as const;

/**
 * Writes the secret headers of a tool or a server. Headers that are not named stay, unless the origin has changed: a
 * secret is bound to one origin, and is dropped rather than sent to another.
 * @param origin where they may be sent
 * @param headers a null value removes the header
 * @param before the stored ones
 * @returns the names of those that were dropped because the origin has changed
 */
export async function writeSecretHeaders(
  tx: Db,
  keys: KeyRing,
  owner: Owner,
  origin: string,
  headers: readonly { readonly name: string; readonly value?: string | null | undefined }[],
  before: readonly { readonly name: string; readonly origin: string }[],
): Promise<string[]> {
  for (const { name, value } of headers) {
    if (typeof value === 'string') await putSecret(tx, keys, owner, { name, origin, value });
    else await dropSecret(tx, owner, name);
  }
  const named = new Set(headers.map(({ name }) => name));
  const stale = before.filter((secret) => secret.origin !== origin && !named.has(secret.name));
  for (const { name } of stale) await dropSecret(tx, owner, name);
  return stale.map(({ name }) => name).sort();
}

/** The names that `writeSecretHeaders` returned, if the row was just updated; else none. */
export function listDropped(row: { readonly id: string; readonly droppedSecretHeaders?: readonly string[] }): string[] {
  return [...(row.droppedSecretHeaders ?? [])];
}
