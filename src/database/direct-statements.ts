import { type CustomTypesConfig, type Pool, types } from 'pg';
import { Prisma, type PrismaClient } from '../generated/prisma/client.ts';
import type { SendStatement } from './statements.ts';

/**
 * Sends the hand-written statements of a client straight to the pool, prepared once for each connection. Prisma's own way
 * takes a third of what a turn costs: it compiles, interprets and converts each of them anew. Within a transaction they
 * go Prisma's way, over its connection. What comes back is the same in both: dates as `Date`, `bigint` as BigInt.
 *
 * Unlike Prisma's, such a statement is sent at once and not when it is awaited, and it fails with the error of pg.
 *
 * @param nameOf the name under which a statement is prepared; empty: it is prepared each time
 * @param inTurn counts a statement and sends it when its owner may take a connection
 */
export function sendDirectly(
  db: PrismaClient,
  pool: Pool,
  nameOf: (sql: string) => string,
  inTurn: SendStatement,
): PrismaClient {
  const send = (strings: TemplateStringsArray | Prisma.Sql, values: unknown[]) => {
    const sql = strings instanceof Prisma.Sql ? strings : new Prisma.Sql(strings, values);
    const statement = { sql: sql.text, args: sql.values.map(toParameter) };
    const name = nameOf(statement.sql);
    return inTurn(statement, () =>
      pool.query({ text: statement.sql, values: statement.args, types: columnTypes, ...(name === '' ? {} : { name }) }),
    );
  };
  const direct: Readonly<Record<string | symbol, unknown>> = {
    $queryRaw: async (strings: TemplateStringsArray | Prisma.Sql, ...values: unknown[]) =>
      (await send(strings, values)).rows,
    $executeRaw: async (strings: TemplateStringsArray | Prisma.Sql, ...values: unknown[]) =>
      (await send(strings, values)).rowCount ?? 0,
  };
  // Bound to Prisma's client: a transaction is made of `this`, and must not find the direct way in it.
  const bound = new WeakMap<object, unknown>();
  return new Proxy(db, {
    get(client, key) {
      if (Object.hasOwn(direct, key)) return direct[key];
      const value: unknown = Reflect.get(client, key, client);
      if (typeof value !== 'function') return value;
      const method: unknown = bound.get(value) ?? value.bind(client);
      bound.set(value, method);
      return method;
    },
  });
}

/** Prisma reads and writes moments without their time zone; both ways have to agree on the value of a column. */
function toParameter(value: unknown): unknown {
  if (value instanceof Date) return value.toISOString().slice(0, -1);
  return Array.isArray(value) ? value.map(toParameter) : value;
}

const zero = 48;
const dot = 46;
const isDigit = (code: number) => code >= zero && code < zero + 10;
const twoDigits = (text: string, at: number) => (text.charCodeAt(at) - zero) * 10 + (text.charCodeAt(at + 1) - zero);

/** The form in which nearly every moment comes, of a session in UTC: `2026-11-28 17:14:28.12+00`. */
const usualMoment = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,3})?(\+00)?$/;

/** A page has hundreds of moments: to have `Date` parse them took as long as to read the rest of it. */
function toDate(value: string): Date {
  if (!usualMoment.test(value)) {
    return new Date(`${value.replace(' ', 'T').replace(/[+-]\d\d(:\d\d)?$/, '')}Z`);
  }
  let milliseconds = 0;
  for (let at = 20, unit = 100; isDigit(value.charCodeAt(at)) && value.charCodeAt(19) === dot; at++, unit /= 10) {
    milliseconds += (value.charCodeAt(at) - zero) * unit;
  }
  return new Date(
    Date.UTC(
      twoDigits(value, 0) * 100 + twoDigits(value, 2),
      twoDigits(value, 5) - 1,
      twoDigits(value, 8),
      twoDigits(value, 11),
      twoDigits(value, 14),
      twoDigits(value, 17),
      milliseconds,
    ),
  );
}

const parsers: ReadonlyMap<number, (value: string) => unknown> = new Map<number, (value: string) => unknown>([
  [types.builtins.INT8, BigInt],
  [types.builtins.NUMERIC, (value) => new Prisma.Decimal(value)],
  [types.builtins.TIMESTAMP, toDate],
  [types.builtins.TIMESTAMPTZ, toDate],
  [types.builtins.DATE, (value) => new Date(`${value}T00:00:00Z`)],
]);

const columnTypes: CustomTypesConfig = {
  getTypeParser: (id: number, format?: 'text' | 'binary') => parsers.get(id) ?? types.getTypeParser(id, format),
};
