import { z } from 'zod';
import { Prisma } from '../../generated/prisma/client.ts';
import type { KeyRing } from '../../secrets/key-ring.ts';
import { dropSecret, putSecret } from '../../secrets/stored-secrets.ts';
import { type ProviderDrafts, type ProviderKind, providerKinds } from './input.ts';

const wasDropped = z.looseObject({ keyDropped: z.literal(true) });

/** The providers of an agent before a change. */
export interface StoredProviders {
  readonly columns: Readonly<Partial<Record<ProviderKind, unknown>>>;
  /** The keys of the agent. */
  readonly secrets: readonly { readonly name: string; readonly origin: string }[];
}

/** The columns of an agent that hold its providers. */
type ProviderColumns = Partial<Record<ProviderKind, Prisma.InputJsonValue | typeof Prisma.DbNull>>;

/**
 * Writes the keys of changed providers, and returns what the agent's row is to hold.
 *
 * A new key replaces the old one; an empty key removes it. If no key is given, the old one stays while the provider stays
 * on the same origin. On another origin the key is dropped, and the configuration says so until it has a key again.
 * @param providers the changed providers; absent kinds stay as they are
 * @param before the providers of the agent before the change; null: the agent is new
 * @returns the changed columns of the agent's row, for the caller to write
 * @throws {BadUserInputError} if the agent has no key of its own and asks for what the operator's key may not be used for
 */
export async function writeProviders(
  tx: Prisma.TransactionClient,
  keys: KeyRing,
  owner: { readonly tenantId: string; readonly agentId: string },
  providers: ProviderDrafts,
  before: StoredProviders | null,
): Promise<ProviderColumns> {
  const columns: ProviderColumns = {};
  for (const kind of providerKinds) {
    const draft = providers[kind];
    if (draft === undefined) continue;
    const old = before?.secrets.find((secret) => secret.name === kind);
    if (draft === null) {
      columns[kind] = Prisma.DbNull;
      if (old) await dropSecret(tx, owner, kind);
      continue;
    }
    const { config, origin, apiKey, operatorKeyProblem } = draft;
    const moved = old !== undefined && old.origin !== origin;
    const hasOwnKey = apiKey === null ? old !== undefined && !moved : apiKey !== '';
    if (!hasOwnKey && operatorKeyProblem !== null) throw operatorKeyProblem;
    const lacksKey = moved || (old === undefined && wasDropped.safeParse(before?.columns[kind]).success);
    if (apiKey) await putSecret(tx, keys, owner, { name: kind, origin, value: apiKey });
    else if (old && (apiKey === '' || moved)) await dropSecret(tx, owner, kind);
    columns[kind] = { ...config, ...(lacksKey && apiKey === null && { keyDropped: true }) };
  }
  return columns;
}
