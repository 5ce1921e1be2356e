import { PrismaPg } from '@prisma/adapter-pg';
import { countAdapterStatements, type Statement } from './database/statements.ts';
import { type Prisma, PrismaClient } from './generated/prisma/client.ts';

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
 * @param options.onQuery sees each statement as it is sent, for tests and for tracing
 * @param options.onConnectionError sees the failures of connections that nobody is using; the pool replaces them
 */
export function openDatabase(options: {
  readonly url: string;
  readonly poolSize: number;
  readonly onQuery?: (statement: Statement) => void;
  readonly onConnectionError?: (error: Error) => void;
}): { db: Database; close(): Promise<void>; [Symbol.asyncDispose](): Promise<void> } {
  const onConnectionError = (error: Error) => options.onConnectionError?.(error);
  const adapter = new CountingPrismaPg(
    { connectionString: options.url, max: options.poolSize, connectionTimeoutMillis: 10_000 },
    { onPoolError: onConnectionError, onConnectionError },
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
