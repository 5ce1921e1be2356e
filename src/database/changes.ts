import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, escapeIdentifier } from 'pg';

/** The channel on which triggers announce the tenants whose configuration has changed. */
export const configurationChannel = 'switchboard_configuration';
const firstRetryMs = 100;
const maxRetryMs = 5_000;
/** A connection that has silently gone is found out by a question that nobody answers. */
const heartbeatMs = 10_000;
/** How long the end of a connection may take, in milliseconds: one that is silent never ends by itself. */
const endMs = 1_000;

/** Somebody who listens. */
export interface ChangeListener extends AsyncDisposable {
  /** Stops listening. */
  close(): Promise<void>;
}

/**
 * Listens to channels of the database (LISTEN, PostgreSQL manual). Comes back by itself when the connection is lost.
 *
 * @param url of the database; not the embedded one, which delivers no notices and needs none: nobody else is on it
 * @param on.notices what is done with the payload of a notice, by its channel
 * @param on.gap notices may have been missed: everything that was remembered is in doubt
 * @param on.error the connection was lost, or could not be made; it is tried again
 * @returns when it listens for the first time
 * @throws when the database cannot be reached at all
 */
export async function listenForChanges(
  url: string,
  on: {
    readonly notices: Readonly<Record<string, (payload: string) => void>>;
    readonly gap: () => void;
    readonly error: (error: Error) => void;
  },
): Promise<ChangeListener> {
  let closed = false;
  let client: Client | null = null;
  let socket: Socket | null = null;
  let timer: NodeJS.Timeout | undefined;
  let retryMs = firstRetryMs;

  const connect = async () => {
    const stream = new Socket();
    socket = stream;
    const next = new Client({
      connectionString: url,
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
      stream: () => stream,
    });
    const lose = (error: Error) => {
      if (client !== next || closed) return;
      client = null;
      clearInterval(timer);
      next.end().catch(() => {});
      stream.destroy();
      on.gap();
      on.error(error);
      retry();
    };
    next.on('error', lose);
    next.on('end', () => lose(new Error('The connection that listens for changes has ended.')));
    next.on('notification', ({ channel, payload }) => {
      if (payload !== undefined) on.notices[channel]?.(payload);
    });
    await next.connect();
    for (const channel of Object.keys(on.notices)) await next.query(`LISTEN ${escapeIdentifier(channel)}`);
    if (closed) return void next.end();
    client = next;
    retryMs = firstRetryMs;
    // Whatever happened between the loss and now was not heard.
    on.gap();
    timer = setInterval(() => {
      const unanswered = setTimeout(
        () => lose(new Error('The connection that listens for changes is silent.')),
        heartbeatMs,
      );
      next.query('SELECT 1').then(
        () => clearTimeout(unanswered),
        () => clearTimeout(unanswered),
      );
    }, heartbeatMs);
    timer.unref();
  };

  const retry = () => {
    const wait = setTimeout(() => {
      if (closed) return;
      connect().catch((error: unknown) => {
        on.error(error instanceof Error ? error : new Error(String(error)));
        retry();
      });
    }, retryMs);
    wait.unref();
    retryMs = Math.min(retryMs * 2, maxRetryMs);
  };

  await connect();
  const close = async () => {
    closed = true;
    clearInterval(timer);
    if (client) await Promise.race([client.end().catch(() => {}), sleep(endMs, undefined, { ref: false })]);
    socket?.destroy();
  };
  return { close, [Symbol.asyncDispose]: close };
}
