import { PrismaPg } from '@prisma/adapter-pg';
import { type Prisma, PrismaClient } from '../generated/prisma/client.ts';
import { countAdapterStatements, type Statement } from './statements.ts';

/** The database, or a transaction in it. Domain functions take it after the Viewer. */
export type Db = PrismaClient | Prisma.TransactionClient;
export type Database = PrismaClient;

/** Connects when the first query comes; every statement is counted (database/statements.ts). */
class CountingPrismaPg extends PrismaPg {
  readonly #onQuery: ((statement: Statement) => void) | undefined;

  constructor(
    config: ConstructorParameters<typeof PrismaPg>[0],
    options: ConstructorParameters<typeof PrismaPg>[1],
    onQuery: ((statement: Statement) => void) | undefined,
  ) {
    super(config, options);
    this.#onQuery = onQuery;
  }

  override async connect() {
    return countAdapterStatements(await super.connect(), this.#onQuery);
  }
}

/**
 * Opens the database behind `url`, an ordinary PostgreSQL URL. Nothing connects before the first query.
 *
 * @param options.poolSize the most connections at once
 * @param options.exclusive whether nobody else is on the database, and `poolSize` is 1: statements are then prepared once
 *   and kept, by name. (The connections to an embedded database share one session, and with it the names.)
 * @param options.onQuery sees each statement as it is sent, for tests and for tracing
 * @param options.onConnectionError sees the failures of connections that nobody is using; the pool replaces them
 */
export function openDatabase(options: {
  readonly url: string;
  readonly poolSize: number;
  readonly exclusive?: boolean;
  readonly onQuery?: (statement: Statement) => void;
  readonly onConnectionError?: (error: Error) => void;
}): { db: Database; close(): Promise<void>; [Symbol.asyncDispose](): Promise<void> } {
  const names = new StatementNames();
  const onConnectionError = (error: Error) => {
    names.renew();
    options.onConnectionError?.(error);
  };
  const adapter = new CountingPrismaPg(
    {
      connectionString: options.url,
      max: options.poolSize,
      // A queue in front of the one connection is no failure to connect.
      connectionTimeoutMillis: options.exclusive ? 60_000 : 10_000,
      // A new connection would find the names of the old one taken.
      ...(options.exclusive ? { idleTimeoutMillis: 0 } : {}),
    },
    {
      onPoolError: onConnectionError,
      onConnectionError,
      ...(options.exclusive
        ? { statementNameGenerator: ({ sql }: { readonly sql: string }) => names.nameOf(sql) }
        : {}),
    },
    options.onQuery,
  );
  const db = new PrismaClient({
    adapter,
    // The embedded database runs transactions one after another: a burst waits, it does not fail.
    transactionOptions: { maxWait: 15_000, timeout: 15_000 },
    errorFormat: 'minimal',
  });
  const close = () => db.$disconnect();
  return { db, close, [Symbol.asyncDispose]: close };
}

const maxNames = 500;

/** Names statements by their SQL; beyond a number of different ones, new ones stay without a name and are not kept. */
class StatementNames {
  readonly #names = new Map<string, string>();
  #epoch = 0;

  /** The name of a statement; empty for none. */
  nameOf(sql: string): string {
    const known = this.#names.get(sql);
    if (known !== undefined || this.#names.size >= maxNames) return known ?? '';
    const name = `s${this.#epoch}_${this.#names.size}`;
    this.#names.set(sql, name);
    return name;
  }

  /** Begins anew: the connection that knew the names is gone, and the session that it shared still holds them. */
  renew(): void {
    this.#names.clear();
    this.#epoch += 1;
  }
}
