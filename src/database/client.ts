import type { Socket } from 'node:net';
import { PrismaPg } from '@prisma/adapter-pg';
import { type Prisma, PrismaClient } from '../generated/prisma/client.ts';
import type { PoolLoad } from '../telemetry/gauges.ts';
import { ConnectionShare } from './connection-share.ts';
import { sendDirectly } from './direct-statements.ts';
import { type DatabaseTimeouts, openPool } from './pool.ts';
import { countAdapterStatements, countAndShare, type Statement } from './statements.ts';

/** The database, or a transaction in it. Domain functions take it after the Viewer. */
export type Db = PrismaClient | Prisma.TransactionClient;
export type Database = PrismaClient;

/** Connects with the first query; every statement is counted, and waits for its turn (database/statements.ts). */
class CountingPrismaPg extends PrismaPg {
  readonly #share: ConnectionShare;
  readonly #onQuery: ((statement: Statement) => void) | undefined;

  constructor(
    config: ConstructorParameters<typeof PrismaPg>[0],
    options: ConstructorParameters<typeof PrismaPg>[1],
    share: ConnectionShare,
    onQuery: ((statement: Statement) => void) | undefined,
  ) {
    super(config, options);
    this.#share = share;
    this.#onQuery = onQuery;
  }

  override async connect() {
    return countAdapterStatements(await super.connect(), this.#share, this.#onQuery);
  }
}

/** The parts of the pool that the work of one tenant, and of one user, may hold at the same time. */
const tenantShare = 3 / 4;
const userShare = 1 / 4;

function partOf(poolSize: number, share: number): number {
  return Math.max(1, Math.floor(poolSize * share));
}

/** How long the end of the connections may take, in milliseconds. */
const endTimeoutMs = 2_000;

/** A database that was opened. */
export interface OpenDatabase extends AsyncDisposable {
  readonly db: Database;
  /**
   * From now on statements are prepared once for each connection, under a name. Only for a database that gives each
   * connection a session of its own: neither a pooler nor an embedded database does.
   */
  prepareStatements(): void;
  /**
   * Sends SQL of a library as it is: without values it may be several statements. Its rows are as pg reads them.
   * Whatever is not a library uses `db`.
   */
  query(sql: string, values: readonly unknown[]): Promise<{ rows: unknown[] }>;
  /** How its connections stand. */
  readonly load: PoolLoad;
  /** Ends all connections without waiting for anything: what waits on them fails. New ones are made as they are needed. */
  destroyConnections(): void;
  close(): Promise<void>;
}

/**
 * Opens the database behind `url`, an ordinary PostgreSQL URL. Nothing connects before the first query. A statement that
 * takes longer than half a minute fails.
 *
 * @param options.poolSize how many connections are open at most
 * @param options.isPooled whether a pooler is in front of the database (PgBouncer, in transaction mode): it refuses settings
 *   of a session. The limits of the server then have to be set for the role
 * @param options.exclusive whether no other process uses the database, and `poolSize` is 1: then each statement is
 *   prepared once, under a name. (The connections to an embedded database share one session, and with it the names.)
 * @param options.onQuery called with each statement as it is sent, for tests and for tracing
 * @param options.onConnectionError called with the failures of idle connections; the pool replaces them
 * @param options.timeouts by default half a minute for a statement
 */
export function openDatabase(options: {
  readonly url: string;
  readonly poolSize: number;
  readonly exclusive?: boolean;
  readonly isPooled?: boolean;
  readonly onQuery?: (statement: Statement) => void;
  readonly onConnectionError?: (error: Error) => void;
  readonly timeouts?: DatabaseTimeouts;
}): OpenDatabase {
  const { url, poolSize, timeouts, exclusive = false, isPooled = false, onConnectionError } = options;
  const sockets = new Set<Socket>();
  let isPrepared = exclusive;
  const names = { ofPrisma: new StatementNames('p'), written: new StatementNames('w') };
  const pool = openPool({ url, poolSize, exclusive, isPooled, timeouts, sockets });
  // Not left to Prisma, which does not know the pool before its own first statement.
  pool.on('error', (error) => onConnectionError?.(error));
  const share = new ConnectionShare({ tenant: partOf(poolSize, tenantShare), user: partOf(poolSize, userShare) });
  const adapter = new CountingPrismaPg(
    pool,
    {
      ...(onConnectionError ? { onConnectionError } : {}),
      statementNameGenerator: ({ sql }) => (isPrepared && !transactionEnd.test(sql) ? names.ofPrisma.nameOf(sql) : ''),
    },
    share,
    options.onQuery,
  );
  const prisma = new PrismaClient({
    adapter,
    // The embedded database runs transactions one after another: in a burst they wait, and do not fail.
    transactionOptions: { maxWait: 15_000, timeout: 15_000 },
    errorFormat: 'minimal',
  });
  const nameOf = (sql: string) => (isPrepared ? names.written.nameOf(sql) : '');
  const prepareStatements = () => {
    isPrepared = true;
  };
  const inTurn = countAndShare(share, options.onQuery);
  const db = sendDirectly(prisma, pool, nameOf, inTurn);
  const query = (sql: string, values: readonly unknown[]) =>
    inTurn({ sql, args: values }, async (): Promise<{ rows: unknown[] }> => {
      // Several statements have an answer each.
      const answers = [await pool.query(sql, values.length === 0 ? undefined : [...values])].flat();
      return { rows: answers.flatMap(({ rows }) => rows ?? []) };
    });
  const destroyConnections = () => {
    for (const socket of sockets) socket.destroy(new Error('Connection terminated: the database does not answer.'));
  };
  const end = async () => {
    // A connection that went silent would never end.
    const ending = setTimeout(destroyConnections, endTimeoutMs);
    await db
      .$disconnect()
      .then(() => pool.end())
      .finally(() => clearTimeout(ending));
  };
  let ended: Promise<void> | null = null;
  const close = () => {
    ended ??= end();
    return ended;
  };
  return {
    db,
    prepareStatements,
    query,
    get load() {
      return { open: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount };
    },
    destroyConnections,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Nothing is planned for them. */
const transactionEnd = /^(COMMIT|ROLLBACK)$/;

/** Each takes memory of the server, for each connection. */
const maxNames = 250;

/**
 * Names statements by their SQL. Beyond 250 different ones, new ones stay without a name and are prepared each time. This
 * is not an lru-cache: the session holds every name that it was given until the connection is made anew (pool.ts).
 */
class StatementNames {
  readonly #names = new Map<string, string>();
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** The name of a statement; empty: it has none. */
  nameOf(sql: string): string {
    const known = this.#names.get(sql);
    if (known !== undefined || this.#names.size >= maxNames) return known ?? '';
    const name = `${this.#prefix}${this.#names.size}`;
    this.#names.set(sql, name);
    return name;
  }
}
