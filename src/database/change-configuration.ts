import { ConflictError } from '../api/errors.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import type { Database } from './client.ts';
import type { ConfigurationCache } from './configuration-cache.ts';
import { isUniqueViolation } from './errors.ts';

/** What changing the configuration of a tenant needs. */
export interface ConfigurationStore {
  readonly db: Database;
  readonly config: ConfigurationCache;
}

/**
 * Changes the configuration of a tenant (agents, scenarios, tools) in one transaction, and drops the cached
 * configuration of that tenant before it returns. The only way to change configuration.
 *
 * The cache is dropped also if the transaction fails: a commit whose answer was lost may have happened.
 * @param owner whose configuration it is; a Viewer has the fields that are needed
 * @param work reads and writes with the transaction that it is given
 * @param options.taken the message of the ConflictError if a unique index refuses a row; absent: that error is passed on
 * @returns what `work` returns
 * @throws {ConflictError} if a unique index refuses a row and `options.taken` says so; else what `work` throws
 */
export async function changeConfiguration<T>(
  owner: { readonly tenantId: string },
  { db, config }: ConfigurationStore,
  work: (tx: Prisma.TransactionClient) => Promise<T>,
  options: { readonly taken?: string } = {},
): Promise<T> {
  try {
    return await db.$transaction(work);
  } catch (error) {
    if (options.taken === undefined || !isUniqueViolation(error)) throw error;
    throw new ConflictError(options.taken);
  } finally {
    config.drop(owner.tenantId);
  }
}
