import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy in front of PostgreSQL, which can take it away in the ways in which networks and servers do. */
export interface DatabaseProxy extends AsyncDisposable {
  /** The address of the database behind the proxy. */
  readonly url: string;
  /** How many connections are open. */
  readonly connections: number;
  /** Nothing passes any more, in either direction, on open and on new connections: no reset, no end. */
  freeze(): void;
  /** What was held passes, and everything that follows. */
  thaw(): void;
  /** The open connections fall silent for good, as if a network had forgotten them; new ones pass. */
  silence(): void;
  /** Resets every connection and refuses new ones until `restore`. */
  cut(): void;
  /** Accepts connections again. */
  restore(): void;
  /** Resets the open connections; new ones pass. */
  reset(): void;
  /** Called with each statement that a client sends; `drop` resets its connection before or after it is carried out. */
  onStatement: ((sql: string) => 'pass' | 'drop' | 'drop answer') | null;
}

/** Opens a proxy in front of the database behind `url`. */
export async function openProxy(url: string): Promise<DatabaseProxy> {
  const target = new URL(url);
  /** Also those that fell silent. */
  const sockets = new Set<Socket>();
  const pairs = new Set<{ readonly client: Socket; readonly server: Socket }>();
  let frozen = false;
  let refusing = false;

  const listener = createServer((client) => {
    if (refusing) return client.resetAndDestroy();
    const server = connectTo(target);
    const pair = { client, server };
    pairs.add(pair);
    sockets.add(client).add(server);
    const end = () => {
      pairs.delete(pair);
      sockets.delete(client);
      sockets.delete(server);
      client.destroy();
      server.destroy();
    };
    let isDeaf = false;
    /** The SQL of the statements that were prepared on this connection, by their names. */
    const prepared = new Map<string, string>();
    client.on('error', end).on('close', end);
    server.on('error', end).on('close', end);
    client.on('data', (data) => {
      const sql = readStatement(data, prepared);
      const verdict = sql === null ? 'pass' : (proxy.onStatement?.(sql) ?? 'pass');
      if (verdict === 'drop') return void client.resetAndDestroy();
      if (verdict === 'drop answer') isDeaf = true;
      server.write(data);
    });
    server.on('data', (data) => {
      // The statement was carried out, and its client does not learn it.
      if (isDeaf) return void client.resetAndDestroy();
      client.write(data);
    });
    if (frozen) {
      client.pause();
      server.pause();
    }
    return undefined;
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const through = new URL(url);
  through.hostname = '127.0.0.1';
  through.searchParams.delete('host');
  const address = listener.address() as AddressInfo;
  through.port = String(address.port);

  const reset = () => {
    for (const { client } of pairs) client.resetAndDestroy();
  };
  const proxy: DatabaseProxy = {
    url: through.href,
    get connections() {
      return pairs.size;
    },
    onStatement: null,
    freeze() {
      frozen = true;
      for (const { client, server } of pairs) {
        client.pause();
        server.pause();
      }
    },
    silence() {
      for (const { client, server } of pairs) {
        client.pause();
        server.pause();
      }
      pairs.clear();
    },
    thaw() {
      frozen = false;
      for (const { client, server } of pairs) {
        client.resume();
        server.resume();
      }
    },
    cut() {
      refusing = true;
      reset();
    },
    restore() {
      refusing = false;
    },
    reset,
    async [Symbol.asyncDispose]() {
      reset();
      for (const socket of sockets) socket.destroy();
      listener.close();
      await once(listener, 'close');
    },
  };
  return proxy;
}

/**
 * The SQL of what a client sends: of a simple query, of a Parse message, or of a Bind message for a statement that was
 * prepared before; null: there is none.
 */
function readStatement(data: Buffer, prepared: Map<string, string>): string | null {
  const kind = String.fromCharCode(data[0] ?? 0);
  if (kind !== 'Q' && kind !== 'P' && kind !== 'B') return null;
  // A Parse message has the name of the statement and its SQL; a Bind message a portal and the name.
  const [first = '', second = ''] = data.toString('utf8', 5).split('\0', 2);
  if (kind === 'Q') return first;
  if (kind === 'B') return prepared.get(second) ?? null;
  if (first !== '') prepared.set(first, second);
  return second;
}

/** An embedded database listens on a socket in a folder. */
function connectTo({ searchParams, port, hostname }: URL): Socket {
  const folder = searchParams.get('host');
  return folder === null ? connect(Number(port || 5432), hostname) : connect(`${folder}/.s.PGSQL.${port || 5432}`);
}
