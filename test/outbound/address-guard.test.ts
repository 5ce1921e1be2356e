import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { AddressGuard, AddressRefusedError } from '../../src/outbound/address-guard.ts';
import { createDial } from '../../src/outbound/dial.ts';
import type { Resolve } from '../../src/outbound/resolve-names.ts';

/** A listener that nobody may reach: it counts connections, not only requests. */
let trap: Server;
let port: number;
let visits = 0;
beforeAll(async () => {
  trap = createServer((_request, response) => void response.end('trapped'));
  trap.on('connection', () => visits++);
  trap.listen(0, '127.0.0.1');
  await once(trap, 'listening');
  const address = trap.address();
  port = typeof address === 'object' && address !== null ? address.port : 0;
});
afterAll(() => {
  trap.closeAllConnections();
  trap.close();
});

/** Resolves every name to the same addresses. */
const answering =
  (...addresses: readonly string[]): Resolve =>
  () =>
    Promise.resolve(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));

async function refusalOf(url: string, guard: AddressGuard): Promise<unknown> {
  return createDial({ guard })(url).then(
    (response) => `answered ${response.status}`,
    (error: unknown) => error,
  );
}

/** Spellings of hosts that lead nowhere but inside. */
const loopback = [
  '127.0.0.1',
  '127.0.0.1.',
  '127.1',
  '127.0.1',
  '127.255.255.254',
  '2130706433',
  '017700000001',
  '0x7f000001',
  '0x7F.0.0.1',
  '0177.0.0.1',
  '0177.0x0.0.1',
  '00000000177.0.0.1',
  '%31%32%37.0.0.1',
  '127%2e0%2e0%2e1',
  '１２７.0.0.1',
  '①②⑦.⓪.⓪.①',
  '127。0。0。1',
  '127．0．0．1',
  '127｡0｡0｡1',
  'localhost',
  'LocalHost',
  'localhost.',
  'localhost..',
  'ⓛⓞⓒⓐⓛⓗⓞⓢⓣ',
  'loc%61lhost',
  'app.localhost',
  'a.b.LOCALHOST.',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[0000:0000:0000:0000:0000:0000:0000:0001]',
  '[::ffff:127.0.0.1]',
  '[::FFFF:7F00:1]',
  '[0:0:0:0:0:ffff:127.0.0.1]',
  '[::127.0.0.1]',
  '[::ffff:0:127.0.0.1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b:1::7f00:1]',
  '[2002:7f00:1::]',
  '[2001:0:4136:e378:8000:63bf:80ff:fffe]',
];
const near = [
  '0',
  '0.0.0.0',
  '0.1.2.3',
  '[::]',
  '[::0.0.0.0]',
  '10.0.0.1',
  '10.1',
  '012.0.0.1',
  '167772161',
  '0xa.0.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '0254.0x10.1',
  '192.168.0.1',
  '192.168.257',
  '3232235521',
  '0300.0250.0.1',
  '100.64.0.1',
  '100.127.255.254',
  '1681915905',
  '[::ffff:10.0.0.1]',
  '[::ffff:c0a8:1]',
  '[::ffff:100.64.0.1]',
  '[64:ff9b::10.0.0.1]',
  '[2002:a00:1::]',
  '[fc00::1]',
  '[fd12:3456:789a::1]',
  '[fec0::1]',
  '[ff02::1]',
  '[2001:db8::1]',
  '[3fff::1]',
  '[100::1]',
  '[5f00::1]',
  '224.0.0.1',
  '239.255.255.250',
  '255.255.255.255',
  '240.0.0.1',
  '192.0.0.8',
  '192.0.2.1',
  '192.88.99.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
];
const metadata = [
  '169.254.169.254',
  '169.254.169.254.',
  '169.254.43518',
  '2852039166',
  '0xa9fea9fe',
  '0251.0376.0251.0376',
  '169.254.170.2',
  '[::ffff:169.254.169.254]',
  '[::ffff:a9fe:a9fe]',
  '[64:ff9b::169.254.169.254]',
  '[2002:a9fe:a9fe::]',
  '[fd00:ec2::254]',
  '[fd00:0ec2:0:0:0:0:0:0254]',
  '[fd20:ce::254]',
  '[fe80::1]',
  '[febf::1]',
  '100.100.100.200',
  '[::ffff:100.100.100.200]',
  '192.0.0.192',
  '168.63.129.16',
  'metadata.google.internal',
  'METADATA.google.internal.',
  'metadata.goog',
  'metadata',
  'instance-data.ec2.internal',
];

describe('addresses that are refused as written', () => {
  test.each([...loopback, ...near])('The address %s is private', async (host) => {
    const before = visits;
    const guard = new AddressGuard();
    for (const scheme of ['http', 'https', 'ws', 'wss']) {
      expect(guard.explainRefusal(`${scheme}://${host}:${port}/v1`)).toMatch(/private/);
    }
    expect(await refusalOf(`http://${host}:${port}/v1`, guard)).toBeInstanceOf(AddressRefusedError);
    expect(visits).toBe(before);
  });

  test.each(metadata)('The address %s is a metadata service, and stays one in the list', async (host) => {
    const listed = new AddressGuard([host, `${host}:80`, '169.254.169.254', '[fd00:ec2::254]']);
    for (const guard of [new AddressGuard(), listed]) {
      expect(guard.explainRefusal(`http://${host}/latest`)).toMatch(/metadata/);
      expect(await refusalOf(`http://${host}/latest`, guard)).toBeInstanceOf(AddressRefusedError);
    }
  });

  test.each([
    'ftp://example.com',
    'file:///etc/passwd',
    'gopher://example.com',
    'data:text/plain,x',
    'javascript:1',
    'http:',
    'nonsense',
    '',
    'http://[fe80::1%25eth0]/',
    'http://[::1%lo]/',
    'http://1.2.3.256/',
    'http://0x100000000/',
  ])('The text %j is not an address to dial', (url) => {
    expect(new AddressGuard().explainRefusal(url)).toMatch(/not a URL/);
  });

  test.each(['http://user@example.com/', 'https://user:pass@example.com/', 'https://:pass@example.com/'])(
    'The address %s is refused for its credentials',
    (url) => expect(new AddressGuard().explainRefusal(url)).toMatch(/user name or password/),
  );

  test.each([
    'https://api.openai.com/v1',
    'http://8.8.8.8:8000/v1',
    'https://[2606:4700:4700::1111]/v1',
    'https://[::ffff:8.8.8.8]/v1',
    'https://localhost.example.com/v1',
    'https://notlocalhost/v1',
    'wss://metadata-tools.example.com/v1',
    'https://172.15.255.255/',
    'https://172.32.0.1/',
    'https://100.63.255.255/',
    'https://100.128.0.1/',
    'https://11.0.0.1/',
    'https://169.253.1.1/',
  ])('The address %s is accepted as written', (url) => expect(new AddressGuard().explainRefusal(url)).toBeNull());
});

describe('the addresses of a name', () => {
  test.each([
    '127.0.0.1',
    '10.1.2.3',
    '169.254.169.254',
    '0.0.0.0',
    '::1',
    '::ffff:127.0.0.1',
    'fd00:ec2::254',
    'fe80::1%eth0',
    'nonsense',
  ])('The address of a name is checked when the connection is made: %s', async (address) => {
    const before = visits;
    const guard = new AddressGuard([], answering(address));
    expect(guard.explainRefusal(`http://model.example:${port}/v1`)).toBeNull();
    expect(await refusalOf(`http://model.example:${port}/v1`, guard)).toBeInstanceOf(AddressRefusedError);
    expect(visits).toBe(before);
  });

  test('Every address of a name is checked, not only the first', async () => {
    for (const addresses of [
      ['8.8.8.8', '127.0.0.1'],
      ['2606:4700:4700::1111', '8.8.8.8', '::1'],
    ]) {
      const guard = new AddressGuard([], answering(...addresses));
      expect(await refusalOf(`http://model.example:${port}/`, guard)).toBeInstanceOf(AddressRefusedError);
    }
  });

  test('The address that is checked is the one that is connected to (DNS rebinding)', async () => {
    const before = visits;
    const asked: string[] = [];
    const answers = ['203.1.113.7', '127.0.0.1', '127.0.0.1'];
    const resolve: Resolve = (name) => {
      asked.push(name);
      return answering(answers[asked.length - 1] ?? '127.0.0.1')(name, { isOperators: false });
    };
    const guard = new AddressGuard([], resolve);
    const lookup = guard.lookupFor(`http://rebind.example:${port}/`);
    const found = await new Promise((resolve) => {
      lookup('rebind.example', { all: true }, (error, addresses) => resolve(error ?? addresses));
    });
    // One question, and its answer is what is connected to.
    expect(found).toEqual([{ address: '203.1.113.7', family: 4 }]);
    expect(asked).toEqual(['rebind.example']);
    // The next connection asks again, and is told something else.
    expect(await refusalOf(`http://rebind.example:${port}/`, guard)).toBeInstanceOf(AddressRefusedError);
    expect(asked).toEqual(['rebind.example', 'rebind.example']);
    expect(visits).toBe(before);
  });

  test('The addresses of a name are returned in the form and family that the caller asks for', async () => {
    const guard = new AddressGuard([], answering('8.8.8.8', '2606:4700:4700::1111'));
    const ask = (options: object) =>
      new Promise((resolve) => {
        guard.lookupFor('http://a.example')('a.example', options, (error, ...found) => resolve(error ?? found));
      });
    expect(await ask({})).toEqual(['8.8.8.8', 4]);
    expect(await ask({ family: 6 })).toEqual(['2606:4700:4700::1111', 6]);
    expect(await ask({ all: true, family: 4 })).toEqual([[{ address: '8.8.8.8', family: 4 }]]);
  });

  test('A name that cannot be resolved, or to nothing, is an error and not a refusal', async () => {
    const lost = new AddressGuard([], () => Promise.reject(new Error('ENOTFOUND')));
    expect(await refusalOf('http://model.example/', lost)).toMatchObject({ message: 'ENOTFOUND' });
    const empty = await refusalOf('http://model.example/', new AddressGuard([], answering()));
    expect(empty).toBeInstanceOf(Error);
    expect(empty).not.toBeInstanceOf(AddressRefusedError);
  });

  test('The check of a name holds for sockets as well', async () => {
    const before = visits;
    const guard = new AddressGuard([], answering('127.0.0.1'));
    const url = `ws://whisper.example:${port}/`;
    const socket = new WebSocket(url, { lookup: guard.lookupFor(url) });
    const [error] = await once(socket, 'error');
    expect(error).toBeInstanceOf(AddressRefusedError);
    expect(visits).toBe(before);
  });
});

describe('MODEL_ALLOWED_HOSTS', () => {
  const dialled = (entries: string[], url: string, resolve: Resolve = answering('127.0.0.1')) =>
    refusalOf(url, new AddressGuard(entries, resolve));

  test('MODEL_ALLOWED_HOSTS lets its entries be dialled, in any spelling', async () => {
    for (const entry of ['127.0.0.1', `127.0.0.1:${port}`, '127.1', '2130706433']) {
      expect(await dialled([entry], `http://127.0.0.1:${port}/v1/models`)).toBe('answered 200');
      expect(await dialled([entry], `http://0x7f.1:${port}/v1`)).toBe('answered 200');
    }
    for (const entry of ['model.internal', 'MODEL.internal.', `model.internal:${port}`]) {
      expect(await dialled([entry], `http://Model.Internal.:${port}/v1/`)).toBe('answered 200');
    }
    const guard = new AddressGuard(['::1', '[fd00::7]:8000', 'models.lan:80/', 'models.lan:443/ws']);
    for (const url of [
      'http://[::1]:9/v1',
      'http://[fd00::7]:8000/v1/a/b',
      'http://models.lan/',
      'wss://models.lan/ws',
    ]) {
      expect(guard.explainRefusal(url)).toBeNull();
    }
  });

  test('MODEL_ALLOWED_HOSTS allows no other port, no other host, and no name for an address', async () => {
    const before = visits;
    for (const [entry, url] of [
      [`127.0.0.1:${port + 1}`, `http://127.0.0.1:${port}/`],
      ['127.0.0.2', `http://127.0.0.1:${port}/`],
      ['localhost', `http://127.0.0.1:${port}/`],
      ['127.0.0.1', `http://localhost:${port}/`],
      ['127.0.0.1', `http://model.internal:${port}/`],
      ['internal', `http://model.internal:${port}/`],
      ['odel.internal', `http://model.internal:${port}/`],
      ['model.internal:80', `http://model.internal:${port}/`],
      ['', `http://model.internal:${port}/`],
      ['*', `http://model.internal:${port}/`],
    ] as const) {
      expect(await dialled([`${entry}/`], url), `${entry} for ${url}`).toBeInstanceOf(AddressRefusedError);
    }
    expect(visits).toBe(before);
  });

  test('MODEL_ALLOWED_HOSTS allows only /v1 of a private host if its entry has no path', async () => {
    const refusedPaths = [
      ...[
        '/',
        '/api/pull',
        '/v1beta',
        '/v10/models',
        '/V1/models',
        '//v1/models',
        '/x/v1',
        '/;/v1',
        '/.%2e/v1/../api/pull',
      ],
      ...['/v1/../api/pull', '/v1/%2e%2e/api/pull', '/v1/.%2E/api/pull', '/v1/..\\api\\pull', '/v1\\..\\api/pull'],
      ...[
        '/v1/..%2fapi/pull',
        '/v1/..%5capi/pull',
        '/v1/%2e%2e%2fapi%2fpull',
        '/v1/..%252fapi/pull',
        '/v1/%252e%252e/api',
      ],
      ...[
        '/v1/..;/api/pull',
        '/v1/..;a=b/api/pull',
        '/v1/x%2f..%2f..%2fapi/pull',
        '/v1//api/pull',
        '/v1/..%00/api/pull',
      ],
      ...[
        '/v1/%c0%ae%c0%ae/api/pull',
        '/v1/%u002e%u002e/api/pull',
        '/v1%2f..%2fapi/pull',
        '/%76%31/models',
        '/v1%2fmodels',
      ],
      ...['/v1/..%09/api/pull', '/v1/.%0d./api/pull?x=/v1/'],
    ];
    const before = visits;
    for (const path of refusedPaths) {
      for (const host of ['127.0.0.1', 'LOCALHOST.', 'model.internal']) {
        const refused = await dialled(['127.0.0.1', 'localhost', 'model.internal'], `http://${host}:${port}${path}`);
        expect(refused, `${host}${path}`).toBeInstanceOf(AddressRefusedError);
      }
    }
    expect(visits).toBe(before);
    const guard = new AddressGuard([`127.0.0.1:${port}`]);
    expect(guard.explainRefusal(`http://127.0.0.1:${port}/api/pull`)).toMatch(
      /other paths only \(\/v1\): write the URL with that path, or list this one$/,
    );
    // A base URL that lacks the path of its API.
    expect(guard.explainRefusal(`http://127.0.0.1:${port}`)).toContain('write the URL with that path');
    expect(guard.explainRefusal(`http://127.0.0.1:${port}/v1/chat/completions?x=/../y`)).toBeNull();
    expect(guard.explainRefusal(`http://127.0.0.1:${port}/api/../v1/a%20b/c;d=1/`)).toBeNull();
  });

  test('MODEL_ALLOWED_HOSTS allows the path of an entry, all paths with /, and several entries of one host', () => {
    const guard = new AddressGuard(['a.localhost/', 'b.localhost/openai/v1/', 'c.localhost:81/x', 'c.localhost']);
    const isAllowed = (url: string) => guard.explainRefusal(url) === null;
    expect(isAllowed('http://a.localhost/api/..%2fpull')).toBe(true);
    expect(isAllowed('http://b.localhost/openai/v1/models')).toBe(true);
    expect(isAllowed('http://b.localhost/openai/v1')).toBe(true);
    expect(isAllowed('http://b.localhost/openai/v1/')).toBe(true);
    expect(isAllowed('http://b.localhost/openai')).toBe(false);
    expect(isAllowed('http://b.localhost/v1')).toBe(false);
    expect(isAllowed('http://c.localhost:81/x/y')).toBe(true);
    expect(isAllowed('http://c.localhost:81/v1')).toBe(true);
    expect(isAllowed('http://c.localhost:82/x')).toBe(false);
    // The rule is about private addresses: listed hosts that are public may have any path.
    expect(new AddressGuard(['api.example.com/x']).explainRefusal('https://api.example.com/openai/v1')).toBeNull();
  });

  test('A connection to a private address is not used again for a path that is not listed', async () => {
    const dial = createDial({ guard: new AddressGuard(['model.internal'], answering('127.0.0.1')) });
    for (let round = 0; round < 2; round++) {
      const allowed = await dial(`http://model.internal:${port}/v1/models`);
      expect(await allowed.text()).toBe('trapped');
      await expect(dial(`http://model.internal:${port}/api/pull`)).rejects.toBeInstanceOf(AddressRefusedError);
    }
  });

  test('MODEL_ALLOWED_HOSTS lets no name lead to a metadata service', async () => {
    for (const address of [
      '169.254.169.254',
      '::ffff:169.254.169.254',
      'fd00:ec2::254',
      '2002:a9fe:a9fe::',
      '64:ff9b::a9fe:a9fe',
    ]) {
      const refused = await dialled(['model.internal/'], 'http://model.internal/', answering(address));
      expect(refused).toMatchObject({ name: 'AddressRefusedError', message: expect.stringMatching(/metadata/) });
    }
  });
});

describe('dialling', () => {
  test('A guarded request follows no redirect', async () => {
    let asked = 0;
    const redirecting = createServer((_request, response) => {
      asked++;
      response.writeHead(Number(_request.url?.slice(1)), { location: `http://127.0.0.1:${port}/` }).end();
    });
    redirecting.listen(0, '127.0.0.1');
    await once(redirecting, 'listening');
    const address = redirecting.address();
    const own = typeof address === 'object' ? address?.port : 0;
    const before = visits;
    const dial = createDial({ guard: new AddressGuard([`127.0.0.1:${own}/`]) });
    for (const status of [301, 302, 303, 307, 308]) {
      const response = await dial(`http://127.0.0.1:${own}/${status}`, { method: 'POST', body: 'x' });
      expect(response.status).toBe(status);
      await response.body?.cancel();
    }
    expect({ asked, visits }).toEqual({ asked: 5, visits: before });
    redirecting.closeAllConnections();
    redirecting.close();
  });

  test('A guarded request never uses a connection that was made without the guard, or with another', async () => {
    const url = `http://127.0.0.1:${port}/`;
    await (await createDial()(url)).text();
    await (await createDial({ guard: new AddressGuard(['127.0.0.1/']) })(url)).text();
    expect(await refusalOf(url, new AddressGuard())).toBeInstanceOf(AddressRefusedError);
  });
});
