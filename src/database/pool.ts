import { Socket } from 'node:net';
import { type ClientBase, Pool, type PoolClient } from 'pg';

/** How long a connection and its statements may take, in milliseconds. */
export interface DatabaseTimeouts {
  /** Of a statement: then the server ends it. */
  readonly statementMs: number;
  /** Of waiting for a statement: a connection that went silent never fails by itself. */
  readonly answerMs: number;
}

const usualTimeouts: DatabaseTimeouts = { statementMs: 30_000, answerMs: 35_000 };
/** How long an operation waits for a free connection or for a new one, in milliseconds. */
const connectTimeoutMs = 4_000;
/** How long a connection is idle before the system checks that its other end is there, in milliseconds. */
const keepAliveAfterMs = 5_000;
/** How long a transaction may wait for its next statement, in milliseconds, before the server ends it. */
const idleTransactionTimeoutMs = 60_000;

/** The SQLSTATE of a statement that the server has ended, and what pg says if it has waited too long itself. */
const statementEnded = '57014';
const answerMissing = 'Query read timeout';

/**
 * Opens a pool of connections. Nothing connects before the first query. A connection on which a statement took too long is
 * closed, and not given to the next caller, who would wait for that statement: pg does so for statements of their own, and
 * here it is done for those of transactions.
 * @param options.isPooled whether a pooler is in front of the database: it refuses settings of a session
 * @param options.exclusive whether no other process uses the database, which has one session for all its connections
 */
export function openPool(options: {
  readonly url: string;
  readonly poolSize: number;
  readonly exclusive: boolean;
  readonly isPooled: boolean;
  readonly timeouts?: DatabaseTimeouts | undefined;
  /** The sockets of the connections are kept in it while they are open. */
  readonly sockets: Set<Socket>;
}): Pool {
  const { statementMs, answerMs } = options.timeouts ?? usualTimeouts;
  const pool = new Pool({
    connectionString: options.url,
    max: options.poolSize,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveAfterMs,
    stream: () => {
      const socket = new Socket();
      options.sockets.add(socket);
      return socket.once('close', () => options.sockets.delete(socket));
    },
    query_timeout: answerMs,
    ...(options.isPooled
      ? {}
      : { statement_timeout: statementMs, idle_in_transaction_session_timeout: idleTransactionTimeoutMs }),
    // To wait for the one connection is not a failure to connect.
    connectionTimeoutMillis: options.exclusive ? 60_000 : connectTimeoutMs,
    ...inUtc(options),
    ...(options.exclusive ? { idleTimeoutMillis: 0 } : {}),
  });
  const late = new WeakSet<ClientBase>();
  pool.on('connect', (client) => watchStatements(client, late));
  // The pool closes what is ended when it is given back.
  pool.on('release', (_error, client) => {
    if (late.has(client)) void client.end();
  });
  return pool;
}

/**
 * Sessions are in UTC, whatever the time zone of the server, its database or its role is: Prisma reads and writes moments
 * without their zone, and the database's own clock has to agree with them.
 * It is a part of the connection's first message where that is free; a pooler refuses it there, but follows a SET.
 */
function inUtc({ url, exclusive, isPooled }: Parameters<typeof openPool>[0]) {
  if (!exclusive && !isPooled && !new URL(url).searchParams.has('options')) return { options: '-c TimeZone=UTC' };
  return {
    onConnect: async (client: ClientBase) => {
      if (exclusive) await forgetStatements(client);
      await client.query("SET TIME ZONE 'UTC'");
    },
  };
}

/**
 * A new connection does not know what was prepared over the one before it, whose session it has. Without this, every
 * statement with a name would fail from the first connection on that was closed, as each is on which a statement failed.
 */
async function forgetStatements(client: ClientBase): Promise<void> {
  await client.query('DEALLOCATE ALL');
}

/** Notes in `late` that a statement of a connection took too long. */
function watchStatements(client: PoolClient, late: WeakSet<ClientBase>): void {
  const note = (error: unknown) => {
    if (!(error instanceof Error)) return;
    const isSilent = error.message === answerMissing;
    if (!isSilent && !('code' in error && error.code === statementEnded)) return;
    late.add(client);
    // Its ROLLBACK would wait as long again.
    if (isSilent) void client.end();
  };
  client.query = new Proxy(client.query, {
    apply(query, self, args) {
      const answer: unknown = Reflect.apply(query, self, args);
      if (answer instanceof Promise) answer.catch(note);
      return answer;
    },
  });
}
