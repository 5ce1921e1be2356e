import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { AddressGuard } from '../../src/outbound/address-guard.ts';
import { createNameResolver } from '../../src/outbound/resolve-names.ts';

/** A server of names: `answer` gives the response to a question of type 1 (A) or 28 (AAAA); null: it is silent. */
async function serveNames(answer: (type: number) => { code: number; addresses: Buffer[] } | null) {
  const socket = createSocket('udp4');
  let questions = 0;
  socket.on('message', (question, from) => {
    questions += 1;
    // After the header, the name up to its empty label; then the type.
    const end = question.indexOf(0, 12) + 5;
    const type = question.readUInt16BE(end - 4);
    const said = answer(type);
    if (said === null) return;
    const head = Buffer.from(question.subarray(0, 12));
    head.writeUInt16BE(0x8180 | said.code, 2);
    head.writeUInt16BE(said.addresses.length, 6);
    head.writeUInt32BE(0, 8);
    const records = said.addresses.map((address) => {
      const record = Buffer.alloc(12);
      record.writeUInt16BE(0xc00c, 0);
      record.writeUInt16BE(type, 2);
      record.writeUInt16BE(1, 4);
      record.writeUInt16BE(address.length, 10);
      return Buffer.concat([record, address]);
    });
    socket.send(Buffer.concat([head, question.subarray(12, end), ...records]), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  onTestFinished(() => void socket.close());
  return { at: [`127.0.0.1:${socket.address().port}`], questions: () => questions };
}

const users = { isOperators: false };
const four = Buffer.from([203, 1, 113, 7]);
const six = Buffer.from('26064700470000000000000000001111', 'hex');

test('Names whose DNS server is silent hold nobody up, and are given up with their connection', async () => {
  const silent = await serveNames(() => null);
  const resolve = createNameResolver({ servers: silent.at });
  const left = new AbortController();
  let open = 0;
  const slow = Array.from({ length: 16 }, (_, index) => {
    open += 1;
    return resolve(`slow${index}.example.com`, { ...users, signal: left.signal }).finally(() => {
      open -= 1;
    });
  });
  const ended = Promise.allSettled(slow);
  await expect.poll(silent.questions).toBeGreaterThanOrEqual(16);
  // With one of the system's threads for each of them, this would wait for the first to be free.
  expect(await lookup('127.0.0.1')).toMatchObject({ address: '127.0.0.1' });
  expect((await resolve('localhost', users)).length).toBeGreaterThan(0);
  expect(open).toBe(16);
  left.abort();
  expect(new Set((await ended).map(({ status }) => status))).toEqual(new Set(['rejected']));
});

test('Both address families are resolved, one is enough, and IPv4 comes first', async () => {
  const ask = async (answer: Parameters<typeof serveNames>[0]) =>
    await createNameResolver({ servers: (await serveNames(answer)).at })('model.example.com', users);
  const [ipv4, ipv6] = [
    { address: '203.1.113.7', family: 4 },
    { address: '2606:4700:4700::1111', family: 6 },
  ];
  const both = (type: number) => ({ code: 0, addresses: [type === 1 ? four : six] });
  expect(await ask(both)).toEqual([ipv4, ipv6]);
  expect(await ask((type) => (type === 1 ? both(type) : { code: 3, addresses: [] }))).toEqual([ipv4]);
  expect(await ask((type) => (type === 28 ? both(type) : { code: 0, addresses: [] }))).toEqual([ipv6]);
  expect(await ask((type) => (type === 1 ? both(type) : null))).toEqual([ipv4]);
  await expect(ask(() => ({ code: 3, addresses: [] }))).rejects.toMatchObject({ code: 'ENOTFOUND' });
  await expect(ask(() => ({ code: 0, addresses: [] }))).rejects.toMatchObject({ code: 'ENODATA' });
});

test('The file of hosts comes first, in its current state', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hosts-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const hostsFile = join(folder, 'hosts');
  const silent = await serveNames(() => null);
  const resolve = createNameResolver({ servers: silent.at, hostsFile });
  await writeFile(hostsFile, '# models\n198.51.100.9 other Model.example.com # ours\n');
  expect(await resolve('model.Example.com.', users)).toEqual([{ address: '198.51.100.9', family: 4 }]);
  await writeFile(hostsFile, '198.51.100.10 model.example.com\n2001:db8::1 model.example.com\n');
  expect((await resolve('model.example.com', users)).map(({ address }) => address)).toEqual([
    '198.51.100.10',
    '2001:db8::1',
  ]);
  expect(silent.questions()).toBe(0);
});

test('The guard says which names are the operator’s', async () => {
  const asked: [string, boolean][] = [];
  const guard = new AddressGuard(['whisper.internal:9090'], async (name, { isOperators }) => {
    asked.push([name, isOperators]);
    return [{ address: '8.8.8.8', family: 4 }];
  });
  for (const url of ['http://whisper.internal:9090/', 'http://whisper.internal/', 'https://api.example.com/']) {
    await new Promise((resolve) => guard.lookupFor(url)(new URL(url).hostname, { all: true }, resolve));
  }
  expect(asked).toEqual([
    ['whisper.internal', true],
    ['whisper.internal', false],
    ['api.example.com', false],
  ]);
});
