import { AsyncLocalStorage } from 'node:async_hooks';
import type { PrismaPg } from '@prisma/adapter-pg';

/** A statement on its way to the database. */
export interface Statement {
  readonly sql: string;
  readonly args: readonly unknown[];
}

/** How many SQL statements a piece of work has taken so far; BEGIN and COMMIT count too. */
export interface StatementTally {
  readonly count: number;
}

interface OpenTally {
  count: number;
  readonly outer: OpenTally | undefined;
}

const tallies = new AsyncLocalStorage<OpenTally | undefined>();

/**
 * Runs work, and hands it a tally of the statements that it and everything it awaits or starts have run.
 * Tallies nest: what an inner one counts, the outer one counts as well.
 * Await queries in the work: one of Prisma's starts where it is awaited, not where it is made.
 */
export function countStatementsIn<T>(work: (tally: StatementTally) => T): T {
  const tally: OpenTally = { count: 0, outer: tallies.getStore() };
  return tallies.run(tally, work, tally);
}

/** Runs work to its end; the answer is what it returned and how many statements it took. */
export async function countStatements<T>(work: () => Promise<T>): Promise<{ result: T; statements: number }> {
  return countStatementsIn(async (tally) => {
    const result = await work();
    return { result, statements: tally.count };
  });
}

/** Runs work that is nobody's: a detached run is not charged to the operation that started it. */
export function withoutCounting<T>(work: () => Promise<T>): Promise<T> {
  // Awaited in here, because a query of Prisma starts only when it is awaited.
  return tallies.run(undefined, async () => await work());
}

type Adapter = Awaited<ReturnType<PrismaPg['connect']>>;

/**
 * Makes a Prisma adapter count each statement in the async context that asked for it.
 *
 * It counts here and not in the pg pool, because a pool that is full runs a waiting query in the context of whoever
 * gives a connection back. Prisma sends BEGIN from inside startTransaction; COMMIT and ROLLBACK come as statements.
 */
export function countAdapterStatements(
  adapter: Adapter,
  onQuery: ((statement: Statement) => void) | undefined,
): Adapter {
  watch(adapter);
  const startTransaction = adapter.startTransaction.bind(adapter);
  adapter.startTransaction = async (isolationLevel) => {
    note({ sql: 'BEGIN', args: [] });
    if (isolationLevel !== undefined) note({ sql: `SET TRANSACTION ISOLATION LEVEL ${isolationLevel}`, args: [] });
    const transaction = await startTransaction(isolationLevel);
    watch(transaction);
    return transaction;
  };
  return adapter;

  function note(statement: Statement): void {
    for (let tally = tallies.getStore(); tally !== undefined; tally = tally.outer) tally.count += 1;
    onQuery?.(statement);
  }

  function watch(queryable: Pick<Adapter, 'queryRaw' | 'executeRaw'>): void {
    const queryRaw = queryable.queryRaw.bind(queryable);
    const executeRaw = queryable.executeRaw.bind(queryable);
    queryable.queryRaw = (query) => {
      note(query);
      return queryRaw(query);
    };
    queryable.executeRaw = (query) => {
      note(query);
      return executeRaw(query);
    };
  }
}
