import { z } from 'zod';
import { Prisma } from '../../generated/prisma/client.ts';
import { dropSecret, putSecret } from '../../secrets/stored-secrets.ts';
import type { AgentDependencies } from '../dependencies.ts';
import { type ProviderDrafts, type ProviderKind, providerKinds } from './input.ts';

const wasDropped = z.looseObject({ keyDropped: z.literal(true) });

/** What an agent has before it is changed. */
export interface StoredProviders {
  readonly columns: Readonly<Partial<Record<ProviderKind, unknown>>>;
  /** Its keys. */
  readonly secrets: readonly { readonly name: string; readonly origin: string }[];
}

/** The columns of an agent that hold its providers. */
type ProviderColumns = Partial<Record<ProviderKind, Prisma.InputJsonValue | typeof Prisma.DbNull>>;

/**
 * Stores the keys of the providers that are given, and answers what the agent's row is to hold of them.
 *
 * A new key takes the place of the old one; an empty one takes it away. Where none is given the old one stays, as long as
 * the provider stays on its origin: on another one it is dropped, and the configuration says so until it has a key again.
 * @param providers what was given; kinds that are absent stay as they are
 * @param before what the agent has; null: it is new
 */
export async function settleProviders(
  tx: Prisma.TransactionClient,
  deps: AgentDependencies,
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
    const { config, origin, apiKey } = draft;
    const moved = old !== undefined && old.origin !== origin;
    const lacksKey = moved || (old === undefined && wasDropped.safeParse(before?.columns[kind]).success);
    if (apiKey) await putSecret(tx, deps.keys, owner, { name: kind, origin, value: apiKey });
    else if (old && (apiKey === '' || moved)) await dropSecret(tx, owner, kind);
    columns[kind] = { ...config, ...(lacksKey && apiKey === null && { keyDropped: true }) };
  }
  return columns;
}
