import { type IncomingMessage, request as sendRequest } from 'node:http';
import { describe, expect, test } from 'vitest';
import { UploadedFile } from '../../src/api/uploaded-file.ts';
import { readUpload } from '../../src/server/requests/read-upload.ts';
import { type HttpAnswer, readAnswer, shareApp } from '../support/app.ts';
import { speakInTones } from '../support/scripted-model/speech.ts';

const query = 'mutation ($audio: File!) { transcribeAudio(audio: $audio) { text language durationMs } }';
const operations = JSON.stringify({ query, variables: { audio: null } });
const map = JSON.stringify({ 0: ['variables.audio'] });
const wav = new Uint8Array(speakInTones('Where is my order?', 16_000));
const preflight = { 'graphql-require-preflight': '1' };

const app = shareApp({ env: { OPENAI_BASE_URL: '', MODEL: '', ALLOWED_ORIGINS: 'https://app.test' } });

type Field = readonly [name: string, value: string | File];

function formOf(...fields: readonly Field[]): FormData {
  const form = new FormData();
  for (const [name, value] of fields) form.append(name, value);
  return form;
}

const file = (data: Uint8Array<ArrayBuffer> | string, name = 'voice.wav') =>
  new File([data], name, { type: 'audio/wav' });
const good: readonly Field[] = [
  ['operations', operations],
  ['map', map],
  ['0', file(wav)],
];

async function upload(
  body: FormData | Uint8Array<ArrayBuffer> | string,
  headers: Record<string, string> = preflight,
  token?: string | null,
): Promise<HttpAnswer> {
  const bearer = token === undefined ? await app.token() : token;
  const authorization: Record<string, string> = bearer === null ? {} : { authorization: `Bearer ${bearer}` };
  const init = { method: 'POST', headers: { ...authorization, ...headers }, body };
  return readAnswer(await fetch(`${app.url}/graphql`, init));
}

/** Sends bytes with node:http, which lies about nothing that it is not told to lie about. */
function send(
  headers: Record<string, string>,
  write: (put: (bytes: Buffer) => boolean) => void,
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = sendRequest(`${app.url}/graphql`, { method: 'POST', headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', reject);
    write((bytes) => request.write(bytes));
    request.end();
  });
}

test('A file is uploaded as Apollo’s clients do it, and is transcribed', async () => {
  const answer = await upload(formOf(...good));
  expect(answer.errors).toEqual([]);
  expect(answer.data.transcribeAudio).toEqual({
    text: 'Where is my order?',
    language: 'en',
    durationMs: expect.any(Number),
  });
});

test.each(['apollo-require-preflight', 'x-graphql-yoga-csrf', 'x-requested-with'])(
  'An upload is accepted with %s, too',
  async (name) => {
    expect((await upload(formOf(...good), { [name]: 'true' })).errors).toEqual([]);
  },
);

test('Other operations may come as multipart, with no file', async () => {
  const fields: Field[] = [
    ['operations', '{"query":"query Me { viewer { userId } }","operationName":"Me"}'],
    ['map', '{}'],
  ];
  expect((await upload(formOf(...fields))).data).toEqual({ viewer: { userId: 'alice' } });
});

test('A file may be deep in the variables, in a list, and in two positions', async () => {
  const document = `mutation ($a: File!, $b: File!) { a: transcribeAudio(audio: $a) { text } b: transcribeAudio(audio: $b) { text } }`;
  const both = JSON.stringify({ query: document, variables: { a: null, b: null } });
  const fields: Field[] = [
    ['operations', both],
    ['map', '{"f":["variables.a","variables.b"]}'],
    ['f', file(wav)],
  ];
  const { data } = await upload(formOf(...fields));
  expect(data).toEqual({ a: { text: 'Where is my order?' }, b: { text: 'Where is my order?' } });
});

describe('uploads from pages of other sites', () => {
  test('An upload of another site is refused without a header that makes the browser ask first', async () => {
    const answer = await upload(formOf(...good), {});
    expect(answer).toMatchObject({ status: 415, errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
    expect(answer.errors[0]?.message).toContain('graphql-require-preflight');
  });

  test('An upload is preflighted, and only pages of allowed origins may send it', async () => {
    const ask = (origin: string) => fetch(`${app.url}/graphql`, { method: 'OPTIONS', headers: { origin } });
    expect((await ask('https://evil.test')).status).toBe(403);
    const allowed = await ask('https://app.test');
    expect(allowed.headers.get('access-control-allow-headers')).toContain('graphql-require-preflight');
  });
});

describe('uploads without a valid token', () => {
  const headers = { ...preflight, 'content-type': 'multipart/form-data; boundary=x', 'content-length': '20000000' };
  test.each([
    ['without a token', {}],
    ['with a wrong one', { authorization: 'Bearer x' }],
  ])('An upload without a valid token is refused before it is read: %s', async (_, authorization) => {
    const status = await new Promise((resolve, reject) => {
      const request = sendRequest(`${app.url}/graphql`, { method: 'POST', headers: { ...headers, ...authorization } });
      request.on('response', (response) => {
        resolve(response.statusCode);
        request.destroy();
      });
      request.on('error', reject);
      // The body never comes.
      request.flushHeaders();
    });
    expect(status).toBe(401);
  });
});

describe('sizes', () => {
  test('A file of 25 MB is read, one byte more is not accepted, and much more is not even read', async () => {
    const large = (bytes: number) => {
      const data = new Uint8Array(bytes);
      data.set(wav.subarray(0, 44 + 200));
      return formOf(['operations', operations], ['map', map], ['0', file(data)]);
    };
    expect((await upload(large(25_000_000))).errors).toEqual([]);
    expect(await upload(large(25_000_001))).toMatchObject({
      status: 400,
      errors: [
        { extensions: { code: 'BAD_USER_INPUT', path: ['audio'] }, message: expect.stringContaining('25000000 bytes') },
      ],
    });
    // Conversations are imported from larger files, and which operation this is stands in the body.
    expect(await upload(large(103_000_000))).toMatchObject({
      status: 413,
      errors: [{ extensions: { code: 'BAD_USER_INPUT' } }],
    });
  });

  test('The size of an upload is counted if it is not declared', async () => {
    const authorization = `Bearer ${await app.token()}`;
    const type = { 'content-type': 'multipart/form-data; boundary=x', 'transfer-encoding': 'chunked' };
    const status = await send({ authorization, ...preflight, ...type }, (put) => {
      put(Buffer.from('--x\r\ncontent-disposition: form-data; name="0"; filename="a"\r\n\r\n'));
      for (let count = 0; count < 27; count += 1) put(Buffer.alloc(1_000_000));
    });
    expect(status).toBe(413);
  });

  test('Operations as JSON keep their limit of 2 MB, declared or not', async () => {
    const token = await app.token();
    const body = JSON.stringify({ query: '{ viewer { userId } }', variables: { x: 'x'.repeat(2_000_000) } });
    const json = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    expect((await upload(body, { 'content-type': 'application/json' })).status).toBe(413);
    expect(await send({ ...json, 'transfer-encoding': 'chunked' }, (put) => put(Buffer.from(body)))).toBe(413);
    const small = Buffer.from('{"query":"{ viewer { userId } }"}');
    expect(await send({ ...json, 'transfer-encoding': 'chunked' }, (put) => put(small))).toBe(200);
  });
});

describe('malformed uploads', () => {
  const audio: Field = ['0', file(wav)];
  test.each<[string, readonly Field[], (string | number)[]]>([
    ['no operations', [['map', map], audio], ['operations']],
    ['no map', [['operations', operations], audio], ['map']],
    [
      'operations twice',
      [
        ['operations', operations],
        ['operations', operations],
        ['map', map],
      ],
      ['operations'],
    ],
    ['operations that are no JSON', [['operations', '{'], ['map', map], audio], ['operations']],
    ['a batch', [['operations', `[${operations}]`], ['map', '{"0":["0.variables.audio"]}'], audio], ['operations']],
    ['operations that are null', [['operations', 'null'], ['map', map], audio], ['operations']],
    [
      'a query that is a number',
      [
        ['operations', '{"query":7}'],
        ['map', '{}'],
      ],
      ['operations'],
    ],
    ['a map that is no JSON', [['operations', operations], ['map', 'x'], audio], ['map']],
    ['a map that is a list', [['operations', operations], ['map', '[]'], audio], ['map']],
    ['a map of texts', [['operations', operations], ['map', '{"0":"variables.audio"}'], audio], ['map']],
    ['a file that the map does not have', [['operations', operations], ['map', '{}'], audio], ['map']],
    [
      'a map of a file that is not there',
      [
        ['operations', operations],
        ['map', map],
      ],
      ['map'],
    ],
    ['a path to nothing', [['operations', operations], ['map', '{"0":["variables.sound"]}'], audio], ['map']],
    ['a path to the query', [['operations', operations], ['map', '{"0":["query"]}'], audio], ['map']],
    ['a path to a prototype', [['operations', operations], ['map', '{"0":["variables.__proto__.x"]}'], audio], ['map']],
    [
      'a path to a constructor',
      [['operations', operations], ['map', '{"0":["variables.constructor.name"]}'], audio],
      ['map'],
    ],
    ['two files', [['operations', operations], ['map', map], audio, ['1', file(wav)]], ['body']],
  ])('A malformed upload is told what is wrong: %s', async (_, fields, path) => {
    const answer = await upload(formOf(...fields));
    expect(answer).toMatchObject({ status: 400, errors: [{ extensions: { code: 'BAD_USER_INPUT', path } }] });
    expect(answer.data).toBeUndefined();
  });

  test('A malformed upload maps a file to a position that has a value', async () => {
    const filled = JSON.stringify({ query, variables: { audio: 'x' } });
    const answer = await upload(formOf(['operations', filled], ['map', map], ['0', file(wav)]));
    expect(answer).toMatchObject({ status: 400, errors: [{ extensions: { path: ['map'] } }] });
  });

  const part = (name: string, value: string) =>
    `--x\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  test.each([
    ['nothing', ''],
    ['no boundary', 'hello'],
    ['another boundary', part('operations', operations).replaceAll('--x', '--y')],
    ['an end that is missing', part('operations', operations) + part('map', map)],
    ['a part with no headers', `--x\r\n\r\n${operations}\r\n--x--`],
    ['a part with no name', `--x\r\ncontent-disposition: form-data\r\n\r\n${operations}\r\n--x--`],
    ['a part with 10 kB of headers', `--x\r\nx-y: ${'y'.repeat(10_000)}\r\n\r\n${operations}\r\n--x--`],
    ['a thousand parts', `${part('a', 'b').repeat(1_000)}--x--`],
  ])('A malformed upload is a body with %s', async (_, body) => {
    const headers = { ...preflight, 'content-type': 'multipart/form-data; boundary=x' };
    expect(await upload(body, headers)).toMatchObject({
      status: 400,
      errors: [{ extensions: { code: 'BAD_USER_INPUT', path: ['body'] } }],
    });
  });

  test.each([
    'multipart/form-data',
    `multipart/form-data; boundary=${'x'.repeat(100)}`,
    'multipart/form-data; boundary=',
  ])('A malformed upload has a type without a valid boundary: %s', async (type) => {
    expect((await upload('x', { ...preflight, 'content-type': type })).status).toBe(400);
  });

  test('A boundary in quotes, a preamble and an epilogue are accepted', async () => {
    const body = part('operations', '{"query":"{ viewer { userId } }"}') + part('map', '{}');
    const headers = { ...preflight, 'content-type': 'multipart/form-data; charset=utf-8; boundary="x"' };
    expect((await upload(`a preamble\r\n${body}--x--\r\nan epilogue`, headers)).data).toEqual({
      viewer: { userId: 'alice' },
    });
    // No HTTP client pads a boundary line, which RFC 2046 allows: the part behind it is not read.
    const padded = await upload(`${body.replace('--x\r\n', '--x \t\r\n')}--x--`, headers);
    expect(padded).toMatchObject({ status: 400, errors: [{ extensions: { path: ['operations'] } }] });
  });
});

test.each([
  ['in JSON', JSON.stringify({ query, variables: { audio: 'data:audio/wav;base64,AAAA' } })],
  ['in JSON as an object', JSON.stringify({ query, variables: { audio: {} } })],
  ['in the document', JSON.stringify({ query: 'mutation { transcribeAudio(audio: "x") { text } }' })],
])('A File %s is refused', async (_, body) => {
  const answer = await upload(body, { 'content-type': 'application/json' });
  expect(answer).toMatchObject({ status: 400, errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
  expect(answer.errors[0]?.message).toContain('uploaded');
});

describe('simultaneous uploads', () => {
  /**
   * Begins an upload that never ends, for each of the users, one of which is one too many.
   * @returns what that one was told
   */
  async function fill(viewers: readonly { readonly sub: string; readonly tenant?: string }[]) {
    const open = viewers.map(async (viewer) => {
      const authorization = `Bearer ${await app.token(viewer)}`;
      const headers = { ...preflight, authorization, 'content-type': 'multipart/form-data; boundary=x' };
      return sendRequest(`${app.url}/graphql`, { method: 'POST', headers });
    });
    const requests = await Promise.all(open);
    const refused = Promise.withResolvers<IncomingMessage>();
    for (const request of requests)
      request
        .on('error', () => {})
        .on('response', refused.resolve)
        .write('--x\r\n');
    const response = await refused.promise;
    const answer = JSON.parse((await response.toArray()).join(''));
    return {
      status: response.statusCode,
      error: answer.errors[0],
      leave: () => {
        for (const request of requests) request.destroy();
      },
    };
  }
  const of = (tenant: string, sub: string, count: number) => Array.from({ length: count }, () => ({ sub, tenant }));
  const uploadAs = async (viewer: { sub: string; tenant?: string }) =>
    upload(formOf(...good), preflight, await app.token(viewer));

  test('Too many uploads of one user: they are told to wait, and others are not', async () => {
    const { status, error, leave } = await fill(of('acme', 'carol', 4));
    expect(status).toBe(429);
    expect(error).toMatchObject({
      message: 'Too many uploads at once: at most 3 per user.',
      extensions: { code: 'RATE_LIMITED', retryAfterMs: 1_000 },
    });
    expect((await uploadAs({ sub: 'carol' })).status).toBe(429);
    expect((await uploadAs({ sub: 'alice' })).errors).toEqual([]);
    leave();
    await expect.poll(async () => (await uploadAs({ sub: 'carol' })).errors, { timeout: 60_000 }).toEqual([]);
  });

  test('Too many uploads of one tenant: its users are told to wait, and other tenants are not', async () => {
    const { status, error, leave } = await fill([
      ...of('large', 'dora', 3),
      ...of('large', 'emil', 3),
      ...of('large', 'fred', 1),
    ]);
    expect(status).toBe(429);
    expect(error.message).toBe('Too many uploads at once: at most 6 per organisation.');
    expect((await uploadAs({ sub: 'alice' })).errors).toEqual([]);
    leave();
    const again = async () => (await uploadAs({ sub: 'gina', tenant: 'large' })).status;
    await expect.poll(again, { timeout: 60_000 }).not.toBe(429);
  });

  test('Too many uploads of all: the error says that it is the server’s limit', async () => {
    const crowd = ['one', 'two'].flatMap((tenant) => [...of(tenant, 'a', 3), ...of(tenant, 'b', 3)]);
    const { status, error, leave } = await fill([...crowd, ...of('three', 'a', 1)]);
    expect(status).toBe(429);
    expect(error.message).toBe('Too many uploads at once: at most 12 on this server.');
    leave();
    await expect.poll(async () => (await uploadAs({ sub: 'alice' })).errors, { timeout: 60_000 }).toEqual([]);
  });
});

test('A subscription accepts no file, which would stay as long as it does', async () => {
  const document = 'subscription ($input: ChatTurnInput!) { chatTurn(input: $input) { __typename } }';
  const created = await app.query('mutation { createConversation { id } }');
  const input = { conversationId: created.data.createConversation.id, content: 'Hi.', idempotencyKey: 'k' };
  const fields: Field[] = [
    ['operations', JSON.stringify({ query: document, variables: { input } })],
    ['map', '{}'],
  ];
  const answer = await upload(formOf(...fields), preflight);
  expect(answer).toMatchObject({ status: 400, errors: [{ extensions: { code: 'BAD_USER_INPUT', path: ['body'] } }] });
  expect(await app.app.db.run.count()).toBe(0);
});

test('A file is not copied out of its body, and hides itself from what walks through JSON', async () => {
  const field = (name: string, value: string) =>
    `--x\r\ncontent-disposition: form-data; name=${name}\r\n\r\n${value}\r\n`;
  const fields = [field('"operations"', operations), field('"map"', map), field('"0"; filename="a"', 'RIFF')];
  const body = Buffer.from(`${fields.join('')}--x--`);
  const audio = (await readUpload(body, 'multipart/form-data; boundary=x')).variables?.audio;
  if (!(audio instanceof UploadedFile)) throw new Error('It is no file.');
  expect(String(audio.data)).toBe('RIFF');
  expect(audio.data.buffer).toBe(body.buffer);
  expect(audio.data.byteOffset).toBe(body.byteOffset + body.indexOf('RIFF'));
  expect(JSON.stringify(audio)).toBe('{}');
  expect(Object.entries(audio)).toEqual([]);
});
