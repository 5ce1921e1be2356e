import { Client } from 'pg';

/** How long a connection or a statement may take, in milliseconds. */
const timeoutMs = 4_000;
const connections = 2;
/** How often each is asked: a pooler that others use as well gives it one of several sessions. */
const rounds = 3;

/**
 * Whether several connections are given the same session in turn, as PgBouncer does it in transaction mode. One that was
 * told to ignore the settings of a session cannot be told from the database by anything else.
 * @returns false, too, if that could not be found out
 */
export async function shareSessions(url: string): Promise<boolean> {
  const options = { connectionString: url, connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs };
  const clients = Array.from({ length: connections }, () => new Client(options));
  for (const client of clients) client.on('error', () => {});
  try {
    await Promise.all(clients.map((client) => client.connect()));
    const sessions = new Set<number>();
    for (let round = 0; round < rounds; round++) {
      for (const client of clients) {
        const { rows } = await client.query<{ session: number }>('SELECT pg_backend_pid() AS session');
        for (const { session } of rows) sessions.add(session);
      }
    }
    return sessions.size !== connections;
  } catch {
    return false;
  } finally {
    await Promise.allSettled(clients.map((client) => client.end()));
  }
}
