import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { docxParagraph, docxType, makeDocx, makePdf } from './files.ts';
import { addDocumentText, openBase } from './support.ts';

let server: Server;
let port = 0;

beforeAll(async () => {
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const redirect = (location: string) => response.writeHead(302, { location }).end();
    if (pathname === '/docs/good')
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Far</h1><p>From afar.</p>');
    else if (pathname === '/docs/unnamed')
      response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(makePdf([['Prices', 'Five euros.']]));
    else if (pathname === '/docs/bare') response.writeHead(200).end('# Bare\n\nNobody says what it is.');
    else if (pathname === '/docs/moved') redirect('/docs/good');
    else if (pathname === '/docs/private') redirect('http://169.254.169.254/latest/meta-data');
    else if (pathname === '/docs/inside') redirect(`http://127.0.0.1:${port}/secret`);
    else if (pathname === '/docs/loop') redirect('/docs/loop');
    else if (pathname === '/docs/file') redirect('file:///etc/passwd');
    else if (pathname === '/docs/video') response.writeHead(200, { 'content-type': 'video/mp4' }).end('x');
    else if (pathname === '/docs/large') {
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.end(Buffer.alloc(21_000_000, 0x61));
    } else if (pathname === '/secret') response.writeHead(200, { 'content-type': 'text/plain' }).end('secret');
    else response.writeHead(404).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  port = typeof address === 'object' && address !== null ? address.port : 0;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const app = shareApp(async () => ({
  env: {
    MODEL_ALLOWED_HOSTS: `127.0.0.1:${port}/docs`,
    RATE_LIMIT_KNOWLEDGE: '0',
    KNOWLEDGE_PARSE_MEMORY_MB: '400',
  },
}));

describe('a document that cannot be indexed says why, and the next one is indexed', () => {
  const entity = '<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>';
  const files: readonly [string, Buffer, string, RegExp][] = [
    ['an encrypted PDF', makePdf([['Secret']], { encrypted: true }), 'application/pdf', /is encrypted/],
    [
      'a broken PDF',
      Buffer.from('%PDF-1.7\nnothing of it is right'),
      'application/pdf',
      /not a PDF document, or it is broken/,
    ],
    ['a PDF without text', makePdf([[]]), 'application/pdf', /has no text/],
    ['a broken DOCX', Buffer.from('PK\u0003\u0004broken'), docxType, /not a DOCX document/],
    ['a DOCX with external entities', makeDocx(docxParagraph('A &x; B'), entity), docxType, /not a DOCX document/],
    ['a zip bomb', makeDocx(Buffer.alloc(600_000_000, 0x20)), docxType, /more than 400 MB of memory|not a DOCX/],
    ['a DOCX that is a picture', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0, 0]), 'text/plain', /binary data/],
    ['an empty file', Buffer.alloc(0), 'text/plain', /is empty/],
    ['a file of spaces', Buffer.from(' \n\n\t '), 'text/markdown', /has no text/],
    ['100,000 nested tags', Buffer.from(`${'<div>'.repeat(100_000)}deep`), 'text/html', /nested deeper than/],
    [
      'Markdown with 100,000 nested quotes',
      Buffer.from(`${'>'.repeat(100_000)} deep`),
      'text/markdown',
      /nested deeper than 100/,
    ],
    ['10 MB of one word', Buffer.alloc(10_000_000, 0x61), 'text/plain', /too long/],
  ];

  test.each(files)('It is FAILED with a reason: %s', async (_name, file, mediaType, reason) => {
    const base = await openBase(app);
    const { id } = await base.upload(file, { mediaType });
    expect(await base.settle(id)).toMatchObject({
      status: 'FAILED',
      error: expect.stringMatching(reason),
      chunkCount: 0,
    });
    expect(await base.texts(id)).toEqual([]);
    const good = await base.add({ text: 'Cups are blue.' });
    expect(await base.settle(good.id)).toMatchObject({ status: 'READY' });
  });

  test('What was indexed before stays, if what replaces it cannot be indexed', async () => {
    const base = await openBase(app);
    const { id } = await base.add({ text: 'Cups are red.' });
    await base.settle(id);
    await base.ask('mutation Update($id: ID!) { updateKnowledgeDocument(id: $id, input: { text: " " }) { id } }', {
      id,
    });
    expect(await base.settle(id)).toMatchObject({ status: 'FAILED', chunkCount: 1 });
    expect(await base.texts(id)).toEqual([{ headings: [], text: 'Cups are red.' }]);
  });
});

test('A PDF of 500 pages is indexed, and scripts and other character sets are read as what a reader sees', async () => {
  const base = await openBase(app);
  const pages = Array.from({ length: 500 }, (_, n) => [`Page ${n}`, `On page ${n} there is cup ${n}.`]);
  const pdf = await base.upload(makePdf(pages));
  const html = Buffer.from(
    '<script>alert(1)</script><style>p{}</style><p onclick="x()">Hello</p><template>no</template>',
  );
  const page = await base.upload(html, { mediaType: 'text/html' });
  const latin = await base.upload(Buffer.from('Die Häuser der Straße', 'latin1'), { mediaType: 'text/plain' });
  const wide16 = (text: string) => Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]);
  const wide = await base.upload(wide16('Größe'), { mediaType: 'text/plain' });
  expect(await base.settle(pdf.id)).toMatchObject({ status: 'READY', chunkCount: 500 });
  // What a file says of its characters can be wrong.
  const wrong = await base.upload(Buffer.from('<meta charset="utf-8"><p>Grüße</p>', 'latin1'), {
    mediaType: 'text/html',
  });
  const unknown = await base.upload(Buffer.from('Grüße'), { mediaType: 'text/plain; charset=klingon' });
  const half = await base.upload(wide16('Grüße').subarray(0, -1), { mediaType: 'text/plain' });
  for (const { id } of [page, latin, wide, wrong, unknown, half]) await base.settle(id);
  for (const { id } of [wrong, unknown]) expect(await base.texts(id)).toEqual([{ headings: [], text: 'Grüße' }]);
  // Half a character is missing at its end.
  expect(await base.texts(half.id)).toEqual([{ headings: [], text: expect.stringContaining('Grüß') }]);
  expect(await base.texts(page.id)).toEqual([{ headings: [], text: 'Hello' }]);
  expect(await base.texts(latin.id)).toEqual([{ headings: [], text: 'Die Häuser der Straße' }]);
  expect(await base.texts(wide.id)).toEqual([{ headings: [], text: 'Größe' }]);
});

test('A megabyte of one word is indexed, also if its letters take two bytes, and what stands beside it is found', async () => {
  const base = await openBase(app);
  for (const letter of ['a', 'ü']) {
    const { id } = await base.upload(
      Buffer.from(`teapot${letter === 'a' ? 'one' : 'two'} ${letter.repeat(1_000_000)}`),
    );
    expect(await base.settle(id)).toMatchObject({ status: 'READY', error: null });
  }
  const search = 'query ($q: String!, $id: ID!) { searchKnowledge(query: $q, knowledgeBaseIds: [$id]) { position } }';
  for (const q of ['teapotone', 'teapottwo'])
    expect((await base.ask(search, { q, id: base.baseId })).searchKnowledge).toEqual([{ position: 1 }]);
});

describe('an address', () => {
  const read = async (path: string, input = {}) => {
    const base = await openBase(app);
    const { id } = await base.add({ url: `http://127.0.0.1:${port}/docs/${path}`, ...input });
    return { ...(await base.settle(id)), texts: await base.texts(id) };
  };

  test('It is read through the guard, with the redirects that are allowed', async () => {
    for (const path of ['good', 'moved'])
      expect(await read(path)).toMatchObject({ status: 'READY', texts: [{ headings: ['Far'], text: 'From afar.' }] });
  });

  test('Its media type is what its server says, else what the client or the content says', async () => {
    expect(await read('good', { mediaType: 'text/plain' })).toMatchObject({ mediaType: 'text/html' });
    expect(await read('unnamed', { mediaType: 'text/html' })).toMatchObject({
      status: 'READY',
      mediaType: 'application/pdf',
    });
    const bare = { mediaType: 'text/markdown', texts: [{ headings: ['Bare'] }] };
    expect(await read('bare', { mediaType: 'text/markdown' })).toMatchObject(bare);
  });

  test.each([
    ['private', /is that of a metadata service/],
    ['inside', /is private or reserved/],
    ['loop', /redirects more than 5 times/],
    ['file', /not a URL of http or https/],
    ['video', /leads to video\/mp4/],
    ['large', /more than 20000000 bytes/],
    ['absent', /status 404/],
  ])('One that leads to %s is refused, and says why', async (path, reason) => {
    expect(await read(path)).toMatchObject({ status: 'FAILED', error: expect.stringMatching(reason), texts: [] });
  });

  test('Private addresses and those that are none are refused at once, and nothing is written', async () => {
    const base = await openBase(app);
    for (const url of [
      'http://10.0.0.1/x',
      'http://127.0.0.1:1/x',
      'file:///etc/passwd',
      'ftp://example.com/',
      'nonsense',
    ]) {
      const input = { knowledgeBaseId: base.baseId, title: 'x', url };
      expect(await base.fail(addDocumentText, { input })).toMatchObject([
        { code: 'BAD_USER_INPUT', message: expect.stringContaining('input.url') },
      ]);
    }
    for (const more of [{}, { text: 'a', url: 'https://example.com' }]) {
      const input = { knowledgeBaseId: base.baseId, title: 'x', ...more };
      expect(await base.fail(addDocumentText, { input })).toMatchObject([
        { code: 'BAD_USER_INPUT', message: expect.stringContaining('exactly one of text, file and url') },
      ]);
    }
    const knowledgeBaseId = base.baseId.slice('kb_'.length);
    expect(await app.app.db.knowledgeDocument.count({ where: { knowledgeBaseId } })).toBe(0);
  });
});
