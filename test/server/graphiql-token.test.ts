import { once } from 'node:events';
import { createServer, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { createGraphiqlPage } from '../../src/server/http/graphiql.ts';

const token = 'eyJ-of-an-administrator';
/** An address of this machine in its network; undefined: it has none. */
const ownAddress = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

/** A page of GraphiQL that is read over connections between any two addresses of this machine. */
async function openPage() {
  const serve = createGraphiqlPage(async () => ({ token, conversationId: 'conv_1' }));
  const server = createServer((request, response) => void serve(request, response));
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const hasToken = async (from: string, to: string, headers: Record<string, string> = {}) => {
    const request = sendRequest({
      host: to,
      port,
      localAddress: from,
      agent: false,
      headers: { host: 'localhost', ...headers },
    });
    request.end();
    const [response] = await once(request, 'response');
    return (await text(response)).includes(token);
  };
  return { hasToken, [Symbol.asyncDispose]: async () => void server.close() };
}

test('The page of GraphiQL has its token for a browser on this machine, under names that always mean this machine', async () => {
  await using page = await openPage();
  for (const host of ['localhost', 'app.localhost:4000', '127.0.0.1', '127.8.9.1:80', '[::1]:4000', 'LOCALHOST'])
    expect([host, await page.hasToken('127.0.0.1', '127.0.0.1', { host })]).toEqual([host, true]);
  for (const host of [
    'evil.test',
    'localhost.evil.test',
    '127.0.0.1.evil.test',
    '0.0.0.0',
    '10.0.0.1',
    '[fe80::1]',
    'a b',
  ])
    expect([host, await page.hasToken('127.0.0.1', '127.0.0.1', { host })]).toEqual([host, false]);
});

test.runIf(ownAddress !== undefined && process.platform === 'linux')(
  'The page of GraphiQL has no token unless both ends of its connection are loopback addresses',
  async () => {
    await using page = await openPage();
    const own = ownAddress ?? '';
    expect(await page.hasToken('127.0.0.1', own)).toBe(false);
    expect(await page.hasToken(own, '127.0.0.1')).toBe(false);
    expect(await page.hasToken(own, own)).toBe(false);
  },
);

test.each(['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip'])(
  'The page of GraphiQL has no token for a request with the header %s of a proxy',
  async (name) => {
    await using page = await openPage();
    expect(await page.hasToken('127.0.0.1', '127.0.0.1', { [name]: 'x' })).toBe(false);
  },
);
