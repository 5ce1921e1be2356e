import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';

/**
 * What happens to the rows that refer to a contact that is erased: they stay without it, they stay without it and without their
 * texts, or they are deleted.
 */
type OnErase = 'FORGET_CONTACT' | 'ERASE_TEXTS' | 'DELETE';

/**
 * Every table with a column `contact_id` that refers to a contact. A merge moves these references, and erasing treats
 * them. A test compares the list with the foreign keys of the database.
 */
export const contactReferences: readonly { readonly table: string; readonly onErase: OnErase }[] = [
  // With its texts, on request, it is deleted before.
  { table: 'conversations', onErase: 'FORGET_CONTACT' },
  { table: 'exports', onErase: 'DELETE' },
  // They keep their numbers and states, as tickets of nobody.
  { table: 'tickets', onErase: 'ERASE_TEXTS' },
];

/** The name of a table of {@link contactReferences}, for SQL. */
export function tableOf({ table }: (typeof contactReferences)[number]): Prisma.Sql {
  return Prisma.raw(table);
}

/** Waits until no other merge or erasure of the tenant is under way, and holds up others until the transaction ends. */
export async function lockMerges({ tenantId }: Viewer, db: Db): Promise<void> {
  await db.$queryRaw`SELECT pg_advisory_xact_lock(hashtextextended(${tenantId}, 15))::text`;
}
