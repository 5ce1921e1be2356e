import { AsyncLocalStorage } from 'node:async_hooks';
import type { PrismaPg } from '@prisma/adapter-pg';
import type { ConnectionOwner, ConnectionShare } from './connection-share.ts';

/** A statement on its way to the database. */
export interface Statement {
  readonly sql: string;
  readonly args: readonly unknown[];
}

/** How many SQL statements a piece of work has taken so far; BEGIN and COMMIT count too. */
export interface StatementTally {
  readonly count: number;
  /** Whose work it is: its statements take connections of that tenant's share. Null: nobody's, or not known yet. */
  owner: ConnectionOwner | null;
}

interface OpenTally {
  count: number;
  owner: ConnectionOwner | null;
  readonly outer: OpenTally | undefined;
}

const tallies = new AsyncLocalStorage<OpenTally | undefined>();

/**
 * Runs work, and hands it a tally of the statements that it and everything it awaits or starts have run.
 * Tallies nest: what an inner one counts, the outer one counts as well.
 * Await queries in the work: one of Prisma's starts where it is awaited, not where it is made.
 */
export function countStatementsIn<T>(work: (tally: StatementTally) => T): T {
  const outer = tallies.getStore();
  const tally: OpenTally = { count: 0, owner: outer?.owner ?? null, outer };
  return tallies.run(tally, work, tally);
}

/** Runs work to its end; the answer is what it returned and how many statements it took. */
export async function countStatements<T>(work: () => Promise<T>): Promise<{ result: T; statements: number }> {
  return countStatementsIn(async (tally) => {
    const result = await work();
    return { result, statements: tally.count };
  });
}

/**
 * Runs work that is not counted for whoever started it, such as a detached run.
 * @param owner whose share of the connections it uses all the same; null: nobody's
 */
export function withoutCounting<T>(owner: ConnectionOwner | null, work: () => Promise<T>): Promise<T> {
  // Awaited in here, because a query of Prisma starts only when it is awaited.
  return tallies.run({ count: 0, owner, outer: undefined }, async () => await work());
}

/** Counts a statement for whoever asked for it, and sends it when its owner may take a connection. */
export type SendStatement = <T>(statement: Statement, send: () => Promise<T>) => Promise<T>;

type Adapter = Awaited<ReturnType<PrismaPg['connect']>>;
type Transaction = Awaited<ReturnType<Adapter['startTransaction']>>;

/**
 * Makes a Prisma adapter count each statement in the async context that asked for it, and take connections of its owner's
 * share only.
 *
 * It counts here and not in the pg pool, because a pool that is full runs a waiting query in the context of whoever
 * gives a connection back. Prisma sends BEGIN from inside startTransaction; COMMIT and ROLLBACK come as statements.
 */
export function countAdapterStatements(
  adapter: Adapter,
  share: ConnectionShare,
  onQuery: ((statement: Statement) => void) | undefined,
): Adapter {
  watch(adapter, countAndShare(share, onQuery));
  const startTransaction = adapter.startTransaction.bind(adapter);
  adapter.startTransaction = async (isolationLevel) => {
    note({ sql: 'BEGIN', args: [] }, onQuery);
    if (isolationLevel !== undefined) {
      note({ sql: `SET TRANSACTION ISOLATION LEVEL ${isolationLevel}`, args: [] }, onQuery);
    }
    const leave = await share.enter(tallies.getStore()?.owner ?? null);
    try {
      const transaction = await startTransaction(isolationLevel);
      // It has its connection already.
      watch(transaction, (statement, send) => {
        note(statement, onQuery);
        return send();
      });
      leaveWith(transaction, leave);
      return transaction;
    } catch (error) {
      leave();
      throw error;
    }
  };
  return adapter;
}

function watch(queryable: Pick<Adapter, 'queryRaw' | 'executeRaw'>, inTurn: SendStatement): void {
  const queryRaw = queryable.queryRaw.bind(queryable);
  const executeRaw = queryable.executeRaw.bind(queryable);
  queryable.queryRaw = (query) => inTurn(query, () => queryRaw(query));
  queryable.executeRaw = (query) => inTurn(query, () => executeRaw(query));
}

function note(statement: Statement, onQuery: ((statement: Statement) => void) | undefined): void {
  for (let tally = tallies.getStore(); tally !== undefined; tally = tally.outer) tally.count += 1;
  onQuery?.(statement);
}

/** As countAdapterStatements does it, for statements that take another way than the adapter. */
export function countAndShare(
  share: ConnectionShare,
  onQuery: ((statement: Statement) => void) | undefined,
): SendStatement {
  return async (statement, send) => {
    note(statement, onQuery);
    const leave = await share.enter(tallies.getStore()?.owner ?? null);
    try {
      return await send();
    } finally {
      leave();
    }
  };
}

/** Calls back once, when the transaction has given its connection back. */
function leaveWith(transaction: Transaction, leave: () => void): void {
  let left = false;
  for (const end of ['commit', 'rollback'] as const) {
    const finish = transaction[end].bind(transaction);
    transaction[end] = async () => {
      try {
        return await finish();
      } finally {
        if (!left) leave();
        left = true;
      }
    };
  }
}
