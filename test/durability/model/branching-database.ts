import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import type { Database } from '../../../src/database/client.ts';
import { PrismaClient } from '../../../src/generated/prisma/client.ts';

/** Changes a statement before it is sent, to plant a fault. */
export type Rewrite = (sql: string) => string;

/** A database that can be taken back to an earlier state: all that is done with it is one transaction, never committed. */
export interface BranchingDatabase extends AsyncDisposable {
  /** Each transaction in it is a savepoint, and sees what those before it have written. */
  readonly db: Database;
  /** Null: the statements are sent as the code has them. */
  rewrite: Rewrite | null;
  /** How many statements were changed by `rewrite`. */
  readonly rewritten: number;
  /** Does work, and then takes the database back to what it was. */
  branch<T>(work: () => Promise<T>): Promise<T>;
}

/** Opens a connection to the database behind `url`, and begins the transaction. */
export async function openBranching(url: string): Promise<BranchingDatabase> {
  // One connection: what is not in a transaction of its own is in the same one.
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const connection = await pool.connect();
  // The pool would end a connection whose statement has failed.
  Object.defineProperty(pool, 'query', { value: connection.query.bind(connection) });
  let rewritten = 0;
  const rewrite = <Query extends { sql: string }>(query: Query): Query => {
    const sql = branching.rewrite?.(query.sql) ?? query.sql;
    if (sql !== query.sql) rewritten += 1;
    return { ...query, sql };
  };
  const adapter = new BranchingPg(pool, rewrite);
  const db = new PrismaClient({ adapter, errorFormat: 'minimal' });
  await pool.query('BEGIN');
  let depth = 0;
  const branching: BranchingDatabase = {
    db,
    rewrite: null,
    get rewritten() {
      return rewritten;
    },
    async branch(work) {
      depth += 1;
      const name = `branch_${depth}`;
      await pool.query(`SAVEPOINT ${name}`);
      try {
        return await work();
      } finally {
        await pool.query(`ROLLBACK TO SAVEPOINT ${name}; RELEASE SAVEPOINT ${name}`);
        depth -= 1;
      }
    },
    async [Symbol.asyncDispose]() {
      await pool.query('ROLLBACK');
      connection.release();
      await db.$disconnect();
    },
  };
  return branching;
}

type RewriteQuery = <Query extends { sql: string }>(query: Query) => Query;

/** Prisma's adapter for PostgreSQL, whose transactions are savepoints of the one that is open. */
class BranchingPg extends PrismaPg {
  readonly #rewrite: RewriteQuery;

  constructor(pool: pg.Pool, rewrite: RewriteQuery) {
    super(pool, { disposeExternalPool: true });
    this.#rewrite = rewrite;
  }

  override async connect() {
    const adapter = await super.connect();
    const queryRaw = adapter.queryRaw.bind(adapter);
    const executeRaw = adapter.executeRaw.bind(adapter);
    const send = async (sql: string) => void (await executeRaw({ sql, args: [], argTypes: [] }));
    adapter.queryRaw = (query) => queryRaw(this.#rewrite(query));
    adapter.executeRaw = (query) => executeRaw(this.#rewrite(query));
    adapter.startTransaction = async () => {
      await send('SAVEPOINT transaction');
      return {
        provider: adapter.provider,
        adapterName: adapter.adapterName,
        options: { usePhantomQuery: true },
        queryRaw: adapter.queryRaw,
        executeRaw: adapter.executeRaw,
        commit: () => send('RELEASE SAVEPOINT transaction'),
        rollback: async () => {
          await send('ROLLBACK TO SAVEPOINT transaction');
          await send('RELEASE SAVEPOINT transaction');
        },
      };
    };
    return adapter;
  }
}
