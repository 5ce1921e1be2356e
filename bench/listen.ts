import type { Server } from 'node:http';

/** Listens on a free port, and writes the address to standard output as `listening on <url>`. */
export function listenOnLoopback(server: Server): void {
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('It listens on no port.');
    console.log(`listening on http://127.0.0.1:${address.port}`);
  });
}

/** What listenOnLoopback writes. */
export const listening = /listening on (\S+)/;
