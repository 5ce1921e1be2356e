import { DatabaseError } from 'pg';
import { UnavailableError } from '../api/errors.ts';
import { Prisma } from '../generated/prisma/client.ts';

// The only file that reads the error codes of Prisma and PostgreSQL. A statement that Prisma builds fails with a code of
// Prisma's own (P2…). A hand-written one fails with the error of pg, whose code is the SQLSTATE of PostgreSQL; within a
// transaction it fails with P2010, which holds the SQLSTATE.

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

/** Codes of Prisma for a database that cannot be reached, or that did not answer in time. */
const unavailableCodes: ReadonlySet<string> = new Set([
  'P1001',
  'P1002',
  'P1008',
  'P1011',
  'P1017',
  'P2024',
  'P2028',
  'P2037',
]);
/** The same in SQLSTATEs: lost connections, a server that stops or starts, one that became a replica, a lost deadlock. */
const unavailableStates = /^(08...|57P0[1-5]|53...|25006|40001|40P01|57014)$/;
const unavailableSystemCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
]);
/** What pg says of connections that end or do not answer; these errors have no code. */
const unavailableMessages =
  /Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error|not queryable|Server has closed the connection|SocketTimeout|DatabaseNotReachable|ConnectionClosed/i;

/**
 * Whether the database is away: it cannot be reached, stops, or does not answer in time. Whether the statement was carried
 * out is then not known. The same statement may work later.
 * @param error whatever a statement or a transaction threw
 */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof UnavailableError) return true;
  if (unavailableMessages.test(error.message)) return true;
  const code = 'code' in error ? String(error.code) : '';
  if (unavailableCodes.has(code) || unavailableSystemCodes.has(code) || unavailableStates.test(code)) return true;
  if (error instanceof Prisma.PrismaClientKnownRequestError) {
    const [, state] = /"(?:originalCode|code)":"(\w{5})"/.exec(JSON.stringify(error.meta ?? {})) ?? [];
    return state !== undefined && unavailableStates.test(state);
  }
  return isUnavailable(error.cause);
}

function hasCode(error: unknown, prismaCode: string, sqlState: string): boolean {
  if (error instanceof DatabaseError) return error.code === sqlState;
  if (!(error instanceof Prisma.PrismaClientKnownRequestError)) return false;
  if (error.code === prismaCode) return true;
  return error.code === 'P2010' && JSON.stringify(error.meta ?? {}).includes(`"${sqlState}"`);
}
