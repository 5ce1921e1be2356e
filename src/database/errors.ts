import { Prisma } from '../generated/prisma/client.ts';

// The only file that reads the error codes of Prisma and PostgreSQL. A statement that Prisma builds fails with a code of
// Prisma's own (P2…); a hand-written one fails with P2010, and holds the SQLSTATE of PostgreSQL.

/**
 * Whether a unique index or constraint refused a row.
 * @param error whatever a statement or a transaction threw
 */
export function isUniqueViolation(error: unknown): boolean {
  return hasCode(error, 'P2002', '23505');
}

/**
 * Whether a foreign key refused a row: the row that it refers to is gone, or the row to be deleted is still referred to.
 * @param error whatever a statement or a transaction threw
 */
export function isForeignKeyViolation(error: unknown): boolean {
  return hasCode(error, 'P2003', '23503');
}

/**
 * Whether an update or a delete of one row found no row that matches its condition.
 * @param error whatever a statement or a transaction threw
 */
export function isMissingRow(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2025';
}

function hasCode(error: unknown, prismaCode: string, sqlState: string): boolean {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError)) return false;
  if (error.code === prismaCode) return true;
  return error.code === 'P2010' && JSON.stringify(error.meta ?? {}).includes(`"${sqlState}"`);
}
