import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { UploadedFile } from '../../src/api/uploaded-file.ts';
import { SpeechRuntime } from '../../src/speech/dependencies.ts';
import { transcribeAudio } from '../../src/speech/transcribe.ts';
import { readAnswer, startTestApp, type TestApp } from '../support/app.ts';
import { speakInTones } from '../support/scripted-model/speech.ts';

const key = 'sk-listen-0123456789abcdef';
const wav = speakInTones('Hello there.', 8_000);
const query = `mutation ($audio: File!, $agentId: ID) {
  transcribeAudio(audio: $audio, agentId: $agentId) { text language durationMs }
}`;

/** What the provider answers, and the forms that it was sent. */
let answerWith: (response: ServerResponse, form: Map<string, Buffer>) => void;
let asked: { url: string; headers: IncomingMessage['headers']; form: Map<string, Buffer> }[] = [];
const provider = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const headers = { 'content-type': request.headers['content-type'] ?? '' };
  const form = new Map<string, Buffer>();
  for (const [name, value] of await new Response(Buffer.concat(chunks), { headers }).formData()) {
    if (value instanceof File) form.set(`file ${value.name}`, Buffer.from(await value.arrayBuffer()));
    else form.set(name, Buffer.from(value));
  }
  asked.push({ url: request.url ?? '', headers: request.headers, form });
  answerWith(response, form);
});
const json =
  (body: unknown, status = 200) =>
  (response: ServerResponse) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

let app: TestApp;
beforeAll(async () => {
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  const { port } = provider.address() as AddressInfo;
  const env = {
    STT_API_URL: `http://127.0.0.1:${port}/v1`,
    STT_API_KEY: key,
    STT_MODEL: 'whisper-1',
    STT_LANGUAGE: 'de-CH',
  };
  app = await startTestApp({ env });
  await app.query('{ viewer { userId } }');
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  provider.close();
  provider.closeAllConnections();
});
beforeEach(() => {
  asked = [];
  app.logs.length = 0;
  answerWith = json({ text: ' Grüezi. ', language: 'german', duration: 1.25 });
});

async function listen(data: Uint8Array, name = 'a.wav', to = app) {
  const form = new FormData();
  form.append('operations', JSON.stringify({ query, variables: { audio: null } }));
  form.append('map', '{"0":["variables.audio"]}');
  form.append('0', new File([new Uint8Array(data)], name));
  const headers = { authorization: `Bearer ${await to.token()}`, 'graphql-require-preflight': '1' };
  return readAnswer(await fetch(`${to.url}/graphql`, { method: 'POST', headers, body: form }));
}

test('A transcription provider is sent the file under a name of ours, the model, the language and the key', async () => {
  const answer = await listen(wav, 'a"; name=\r\nevil.exe');
  expect(answer.errors).toEqual([]);
  expect(answer.data.transcribeAudio).toEqual({ text: 'Grüezi.', language: 'de', durationMs: 1_250 });
  expect(asked).toMatchObject([{ url: '/v1/audio/transcriptions', headers: { authorization: `Bearer ${key}` } }]);
  const form = asked[0]?.form;
  expect(form?.get('file audio.wav')?.equals(wav)).toBe(true);
  const fields = [...(form ?? [])]
    .filter(([name]) => !name.startsWith('file'))
    .map(([name, value]) => [name, String(value)]);
  expect(Object.fromEntries(fields)).toEqual({ model: 'whisper-1', language: 'de', response_format: 'verbose_json' });
});

test('A model that gives the text alone is asked again, and the length is that of the file', async () => {
  answerWith = (response, form) => {
    const verbose = String(form.get('response_format')) === 'verbose_json';
    if (verbose) json({ error: { message: 'response_format is not supported' } }, 400)(response);
    else json({ text: 'Hello.' })(response);
  };
  const answer = await listen(wav);
  expect(answer.data.transcribeAudio).toEqual({ text: 'Hello.', language: 'de-CH', durationMs: expect.any(Number) });
  expect(answer.data.transcribeAudio.durationMs).toBeGreaterThan(100);
  expect(asked.length).toBe(2);
});

describe('audio files', () => {
  const id3 = Buffer.concat([
    Buffer.from('ID3\x04\0\0\0\0\0\x0a'),
    Buffer.alloc(10),
    Buffer.from([0xff, 0xfb, 0x90, 0x00]),
    Buffer.alloc(900),
  ]);
  const ebml = Buffer.from('1a45dfa39f4286810142f7810142f2810442f381084282847765626d', 'hex');
  test.each([
    ['mp3', id3, 'song.txt'],
    ['mp3', Buffer.concat([Buffer.from([0xff, 0xfb, 0x90, 0x00]), Buffer.alloc(900)]), 'x'],
    ['aac', Buffer.concat([Buffer.from([0xff, 0xf1, 0x50, 0x80]), Buffer.alloc(900)]), 'x.wav'],
    ['flac', Buffer.concat([Buffer.from('fLaC'), Buffer.alloc(100)]), ''],
    [
      'ogg',
      Buffer.concat([Buffer.from('OggS'), Buffer.alloc(24), Buffer.from('OpusHead'), Buffer.alloc(100)]),
      'x.html',
    ],
    ['webm', Buffer.concat([ebml, Buffer.alloc(100)]), 'x'],
    ['m4a', Buffer.concat([Buffer.from([0, 0, 0, 0x20]), Buffer.from('ftypM4A '), Buffer.alloc(100)]), 'x'],
    ['mp4', Buffer.concat([Buffer.from([0, 0, 0, 0x20]), Buffer.from('ftypisom'), Buffer.alloc(100)]), 'x'],
  ])('An audio file is accepted by its content: %s', async (extension, data, name) => {
    expect((await listen(data, name)).errors).toEqual([]);
    expect([...(asked[0]?.form.keys() ?? [])]).toContain(`file audio.${extension}`);
  });

  test.each([
    ['a text named .wav', Buffer.from('I am no sound at all, whatever they call me.'), 'must be audio'],
    ['a page named .wav', Buffer.from('<!doctype html><script>alert(1)</script>'), 'must be audio'],
    ['a picture', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), 'must be audio'],
    ['an archive', Buffer.from('504b0304140000000000', 'hex'), 'must be audio'],
    ['a WAV that begins and stops', wav.subarray(0, 12), 'holds no sound'],
    ['a WAV with no samples', Buffer.concat([wav.subarray(0, 36), Buffer.from('data\0\0\0\0')]), 'holds no sound'],
    [
      'a WAV with a format of nonsense',
      Buffer.concat([wav.subarray(0, 22), Buffer.alloc(14), wav.subarray(36)]),
      'fmt chunk is invalid',
    ],
    ['nothing', Buffer.alloc(0), 'is empty'],
  ])('An audio file is not accepted by %s', async (_, data, why) => {
    const answer = await listen(data);
    expect(answer).toMatchObject({
      status: 400,
      errors: [{ extensions: { code: 'BAD_USER_INPUT', path: ['audio'] } }],
    });
    expect(answer.errors[0]?.message).toContain(why);
    expect(asked).toEqual([]);
  });

  test('A WAV that is compressed is for the provider to read', async () => {
    const adpcm = Buffer.from(wav);
    adpcm.writeUInt16LE(2, 20);
    expect((await listen(adpcm)).errors).toEqual([]);
    expect(asked.length).toBe(1);
  });
});

describe('failures of a transcription provider', () => {
  const said = `Your key ${key} is wrong; call 555-SECRET.`;
  test.each<[string, (response: ServerResponse) => void, string]>([
    ['with a page', (response) => void response.end(`<p>${said}`), 'BAD_ANSWER'],
    ['with JSON without a text', json({ error: said }), 'BAD_ANSWER'],
    ['with a text that is a number', json({ text: 7 }), 'BAD_ANSWER'],
    ['with 5 MB', json({ text: 'x'.repeat(5_000_000) }), 'BAD_ANSWER'],
    [
      'half',
      (response) => void response.writeHead(200, { 'content-length': '100' }).write('{', () => response.destroy()),
      'BAD_ANSWER',
    ],
    ['not at all', (response) => void response.destroy(), 'UNREACHABLE'],
    ['with 401', json({ error: said }, 401), 'INVALID_KEY'],
    ['with 404', json({ error: said }, 404), 'UNKNOWN_MODEL'],
    ['with 400', json({ error: said }, 400), 'OTHER'],
    ['with 429', json({ error: said }, 429), 'RATE_LIMITED'],
    ['with 503', json({ error: said }, 503), 'OTHER'],
    ['with a redirect', (response) => void response.writeHead(307, { location: '/' }).end(), 'OTHER'],
  ])(
    'A transcription provider that fails is reported by type and not asked again: %s',
    async (_, listener, problem) => {
      answerWith = listener;
      const answer = await listen(wav);
      expect(answer).toMatchObject({ status: 502, errors: [{ extensions: { code: 'PROVIDER_FAILED', problem } }] });
      expect(JSON.stringify(answer.errors)).not.toContain('SECRET');
      expect(JSON.stringify([answer.errors, app.logs])).not.toContain(key);
      expect(app.logs.some((line) => line.msg === 'speech provider failed')).toBe(true);
    },
  );

  test.each<[string, (response: ServerResponse) => void]>([
    ['hangs', () => {}],
    [
      'drips',
      (response) => {
        const timer = setInterval(() => response.write(' '), 10);
        response.on('close', () => clearInterval(timer));
      },
    ],
  ])('A transcription provider is left if it %s', async (_, listener) => {
    const left = Promise.withResolvers<void>();
    answerWith = (response) => {
      response.on('close', left.resolve);
      listener(response);
    };
    const { db, logger, speech } = app.app;
    const { agents, limit, ttlMs } = speech;
    const transcription = { totalMs: 300, quietMs: 300, maxBytes: 1_000 };
    const host = new SpeechRuntime({ db, agents, limit, ttlMs, logger, limits: { transcription } });
    const viewer = { userId: 'alice', tenantId: 'acme', roles: [], expiresAt: Number.POSITIVE_INFINITY };
    const heard = transcribeAudio(viewer, host, { audio: new UploadedFile(wav) });
    await expect(heard).rejects.toMatchObject({ problem: 'TIMEOUT', retryable: true });
    await left.promise;
  });
});

test('Without a transcription provider the mutation says so; RATE_LIMIT_SPEECH counts uploads, too', async () => {
  await using deaf = await startTestApp({ env: { RATE_LIMIT_SPEECH: '1/60' } });
  expect(await listen(wav, 'a.wav', deaf)).toMatchObject({
    status: 409,
    errors: [{ message: expect.stringContaining('cannot listen'), extensions: { code: 'CONFLICT' } }],
  });
  expect(await listen(wav, 'a.wav', deaf)).toMatchObject({
    status: 429,
    errors: [{ extensions: { code: 'RATE_LIMITED' } }],
  });
});
