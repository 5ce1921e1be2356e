import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findPort, findProgram, isListening } from './find-program.ts';

/** A pooler in front of a database server. */
export interface Pooler extends AsyncDisposable {
  /** The URL of the same database through the pooler. */
  readonly url: string;
}

/** PgBouncer does not run as root: this is nobody. */
const nobody = 65_534;

/**
 * Starts PgBouncer in transaction mode in front of a database. On a machine without it, a stand-in refuses and swallows
 * what PgBouncer does, as far as clients can tell; in CI that is an error.
 * @param settings further lines of its configuration, which the stand-in does not read
 */
export async function startPgBouncer(databaseUrl: string, settings: readonly string[] = []): Promise<Pooler> {
  const path = findProgram('pgbouncer');
  if (path !== null) return await spawnPgBouncer(path, databaseUrl, settings);
  if (process.env.CI) throw new Error('pgbouncer is missing: CI has to install it.');
  return await startStandIn(databaseUrl);
}

function through(databaseUrl: string, port: number): string {
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String(port);
  return url.href;
}

async function spawnPgBouncer(path: string, databaseUrl: string, settings: readonly string[]): Promise<Pooler> {
  const { hostname, port: serverPort, username, password } = new URL(databaseUrl);
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-pgbouncer-'));
  const port = await findPort();
  const login = `user=${decodeURIComponent(username)}${password ? ` password=${decodeURIComponent(password)}` : ''}`;
  const file = join(folder, 'pgbouncer.ini');
  await writeFile(
    file,
    `[databases]
* = host=${hostname} port=${serverPort || 5432} ${login}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 10
${settings.join('\n')}
`,
  );
  const isRoot = process.getuid?.() === 0;
  if (isRoot) for (const owned of [folder, file]) await chown(owned, nobody, nobody);
  const user = isRoot ? { uid: nobody, gid: nobody } : {};
  const child = spawn(path, [file], { ...user, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  const exited = once(child, 'exit');
  while (!(await isListening(port))) {
    if (child.exitCode !== null) throw new Error(`PgBouncer did not start: ${said}`);
    await sleep(20);
  }
  return {
    url: through(databaseUrl, port),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGINT');
      // It waits for clients; ours have left.
      const killing = setTimeout(() => child.kill('SIGKILL'), 2_000);
      await exited;
      clearTimeout(killing);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const sslRequest = 80_877_103;
const knownParameters = ['user', 'database', 'client_encoding', 'datestyle', 'timezone', 'application_name'];

/** Refuses settings of a session, and passes on no notices: what a pooler in transaction mode is to a client. */
async function startStandIn(databaseUrl: string): Promise<Pooler> {
  const { hostname, port } = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port) || 5432, hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    let head = Buffer.alloc(0);
    let isOpen = false;
    client.on('data', (chunk: Buffer) => {
      if (isOpen) return void upstream.write(chunk);
      head = Buffer.concat([head, chunk]);
      if (head.length < 8 || head.length < head.readInt32BE(0)) return;
      if (head.readInt32BE(4) === sslRequest) {
        head = head.subarray(8);
        return void client.write('N');
      }
      const names = head.subarray(8, head.readInt32BE(0)).toString().split('\0');
      const refused = names.find((name, at) => at % 2 === 0 && name !== '' && !knownParameters.includes(name));
      if (refused !== undefined) return void client.end(writeError(`unsupported startup parameter: ${refused}`));
      isOpen = true;
      upstream.write(head);
    });
    let rest = Buffer.alloc(0);
    upstream.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 5 && rest.length >= 1 + rest.readInt32BE(1)) {
        const length = 1 + rest.readInt32BE(1);
        const isNotice = rest[0] === 'A'.charCodeAt(0);
        if (!isNotice) client.write(rest.subarray(0, length));
        rest = rest.subarray(length);
      }
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: through(databaseUrl, (server.address() as AddressInfo).port),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function writeError(message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C08P01\0M${message}\0\0`);
  const length = Buffer.alloc(5);
  length.write('E');
  length.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([length, fields]);
}
