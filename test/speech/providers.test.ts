import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readSttDefault, readTtsDefault } from '../../src/agents/providers/speech-defaults.ts';
import { resolveTts } from '../../src/agents/providers/speech-endpoints.ts';
import { openaiUrl } from '../../src/config/variables.ts';
import { WavJoiner } from '../../src/providers/speech/join-wavs.ts';
import { readWav } from '../../src/providers/speech/wav.ts';
import { putSecret } from '../../src/secrets/stored-secrets.ts';
import { pieceBytes } from '../../src/speech/clips.ts';
import { SpeechRuntime } from '../../src/speech/dependencies.ts';
import { synthesizeSpeech } from '../../src/speech/synthesize.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { speakInTones } from '../support/scripted-model/speech.ts';

const speak = 'mutation ($text: String!) { synthesizeSpeech(text: $text) { url mediaType size } }';
const key = 'sk-speech-0123456789abcdef';
const wav = speakInTones('Hello.', 8_000);

/** What the provider answers, what it was asked, and the apps that it speaks for. */
let answerWith: RequestListener = () => {};
/** Answers that neither ended nor were left. */
let openAnswers = 0;
let asked: { url: string; headers: IncomingMessage['headers']; body: string }[] = [];
const provider = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (chunk: string) => {
    body += chunk;
  });
  openAnswers += 1;
  response.on('close', () => {
    openAnswers -= 1;
  });
  request.on('end', () => {
    asked.push({ url: request.url ?? '', headers: request.headers, body });
    answerWith(request, response);
  });
});
let providerUrl: string;
/** Its environment names the provider. */
let app: TestApp;
beforeAll(async () => {
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  providerUrl = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/v1`;
  app = await startApp({ TTS_API_URL: providerUrl, TTS_API_KEY: key });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  provider.close();
  provider.closeAllConnections();
});
beforeEach(async () => {
  asked = [];
  await app.app.db.speechClip.deleteMany();
  app.logs.length = 0;
});

/** An app whose tenant has its rows. */
async function startApp(env: Record<string, string>): Promise<TestApp> {
  const started = await startTestApp({ env });
  await started.query('{ viewer { userId } }');
  return started;
}

/** The domain function itself, for a viewer who is known, with other limits. */
async function synthesize(limits: { totalMs: number; idleMs: number; maxBytes: number }) {
  const { db, speech, logger } = app.app;
  const { agents, limit, ttlMs } = speech;
  await using stack = new AsyncDisposableStack();
  const host = new SpeechRuntime({ db, agents, limit, ttlMs, logger, limits: { speech: limits } });
  stack.defer(() => host.close());
  const viewer = { userId: 'alice', tenantId: 'acme', roles: [], expiresAt: Number.POSITIVE_INFINITY };
  return await synthesizeSpeech(viewer, host, { text: 'Hello.' });
}

const roomy = { totalMs: 30_000, idleMs: 30_000, maxBytes: 1_000_000 };

async function expectNothingKept() {
  expect(await app.app.db.speechClip.count()).toBe(0);
  expect(await app.app.db.speechChunk.count()).toBe(0);
}

test('A provider of speech is sent the text, the voice and the options, which change neither', async () => {
  answerWith = (_request, response) => response.end(wav);
  const env = { TTS_MODEL: 'kokoro', TTS_VOICE: 'af_sky', TTS_SAMPLE_RATE: '16000' };
  await using other = await startApp({ TTS_API_URL: providerUrl, TTS_API_KEY: key, ...env });
  const answer = await other.query(speak, { text: 'Hello, 世界.' });
  expect(answer.data.synthesizeSpeech).toMatchObject({ mediaType: 'audio/wav', size: wav.length });
  expect(asked).toMatchObject([{ url: '/v1/audio/speech', headers: { authorization: `Bearer ${key}` } }]);
  expect(JSON.parse(asked[0]?.body ?? '')).toEqual({
    model: 'kokoro',
    voice: 'af_sky',
    input: 'Hello, 世界.',
    response_format: 'wav',
    sample_rate: 16_000,
  });
});

test('The type of a clip is what its content says, and not what the header says', async () => {
  const mp3 = Buffer.concat([Buffer.from([0xff, 0xfb, 0x90, 0x00]), Buffer.alloc(2_000)]);
  answerWith = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end(mp3);
  };
  const answer = await app.query(speak, { text: 'Hello.' });
  expect(answer.data.synthesizeSpeech).toMatchObject({ mediaType: 'audio/mpeg', size: mp3.length });
});

test('Sound is stored as it arrives, and is a clip when it is complete', async () => {
  const rest = Promise.withResolvers<void>();
  answerWith = async (_request, response) => {
    response.write(Buffer.concat([wav, Buffer.alloc(pieceBytes)]));
    await rest.promise;
    response.end(Buffer.alloc(pieceBytes));
  };
  const answer = app.query(speak, { text: 'Hello.' });
  await expect.poll(() => app.app.db.speechChunk.count()).toBe(1);
  rest.resolve();
  const { url, size } = (await answer).data.synthesizeSpeech;
  expect(size).toBe(wav.length + 2 * pieceBytes);
  const id = url.slice('/speech/clip_'.length);
  const chunks = await app.app.db.speechChunk.findMany({ where: { clipId: id }, orderBy: { position: 'asc' } });
  expect(chunks.map(({ data }) => data.length)).toEqual([pieceBytes, pieceBytes, wav.length]);
});

describe('SP1 several WAV files in one body', () => {
  const [one, two, three] = ['Hello.', 'And on it goes.', 'Bye.'].map((text) => speakInTones(text, 8_000));
  const files = [one, two, three].filter((file) => file !== undefined);
  const samplesOf = (file: Buffer) => file.subarray(file.indexOf('data') + 8);

  async function speakAs(chunks: readonly Buffer[]) {
    answerWith = async (_request, response) => {
      response.socket?.setNoDelay();
      for (const chunk of chunks) response.write(chunk);
      response.end();
    };
    const { url } = (await app.query(speak, { text: 'Hello.' })).data.synthesizeSpeech;
    const response = await fetch(`${app.url}${url}`, { headers: { authorization: `Bearer ${await app.token()}` } });
    return Buffer.from(await response.arrayBuffer());
  }

  test('Files of one format become one file, whose header has the length of all', async () => {
    const bytes = await speakAs([Buffer.concat(files)]);
    const joined = readWav(bytes);
    expect(joined.data).toEqual(Buffer.concat(files.map(samplesOf)));
    expect(bytes.readUInt32LE(4)).toBe(bytes.length - 8);
    expect(joined.durationMs).toBeCloseTo(
      files.reduce((sum, file) => sum + readWav(file).durationMs, 0),
      0,
    );
  });

  test('Files are joined wherever the bytes are cut', async () => {
    const [first, second] = files.map((file) => {
      // Short, so that every cut can be tried.
      const short = Buffer.from(file.subarray(0, file.indexOf('data') + 8 + 20));
      short.writeUInt32LE(20, short.length - 24);
      return short;
    });
    if (first === undefined || second === undefined) throw new Error('There are three files.');
    const all = Buffer.concat([first, second]);
    for (let at = 0; at <= all.length; at++) {
      const joiner = new WavJoiner();
      const parts: Uint8Array[] = [];
      for await (const part of joiner.join(chunksOf([all.subarray(0, at), all.subarray(at)]))) parts.push(part);
      const bytes = Buffer.concat(parts);
      expect(bytes.length).toBe(first.length + 20);
      bytes.set(joiner.head ?? []);
      expect(readWav(bytes).data).toEqual(Buffer.concat([first.subarray(-20), second.subarray(-20)]));
    }
  });

  test('One file, files of another format and what follows a file are left as they are', async () => {
    const other = speakInTones('Other.', 16_000);
    for (const chunks of [
      files.slice(0, 1),
      [...files.slice(0, 1), other],
      [...files.slice(0, 1), Buffer.from('RIFF?')],
    ]) {
      expect(await speakAs(chunks)).toEqual(Buffer.concat(chunks));
    }
  });

  test('A last file that is cut is a failure', async () => {
    answerWith = (_request, response) => response.end(Buffer.concat(files).subarray(0, -10));
    const { errors } = await app.query(speak, { text: 'Hello.' });
    expect(errors[0]).toMatchObject({ message: expect.stringContaining('last of several WAV files is cut') });
  });
});

async function* chunksOf(chunks: readonly Uint8Array[]) {
  yield* chunks;
}

describe('failures of a speech provider', () => {
  const said = `<!doctype html><p>Your key ${key} is wrong; call 555-SECRET.`;
  test.each<[string, RequestListener, string, boolean]>([
    ['with a page', (_, response) => response.end(said), 'BAD_ANSWER', true],
    ['with JSON', (_, response) => response.end(JSON.stringify({ error: said })), 'BAD_ANSWER', true],
    ['with nothing', (_, response) => response.end(), 'BAD_ANSWER', true],
    [
      'with a page that calls itself audio',
      (_, response) => response.setHeader('content-type', 'audio/wav').end(said),
      'BAD_ANSWER',
      true,
    ],
    [
      'half',
      (_, response) => response.writeHead(200, { 'content-length': '999999' }).write(wav, () => response.destroy()),
      'BAD_ANSWER',
      true,
    ],
    ['not at all', (request) => request.socket.destroy(), 'UNREACHABLE', true],
    ['with 401', (_, response) => response.writeHead(401).end(said), 'INVALID_KEY', false],
    ['with 403', (_, response) => response.writeHead(403).end(said), 'INVALID_KEY', false],
    ['with 404', (_, response) => response.writeHead(404).end(said), 'UNKNOWN_MODEL', false],
    ['with 400', (_, response) => response.writeHead(400).end(said), 'OTHER', false],
    ['with 429', (_, response) => response.writeHead(429).end(said), 'RATE_LIMITED', true],
    ['with 500', (_, response) => response.writeHead(500).end(said), 'OTHER', true],
    ['with 504', (_, response) => response.writeHead(504).end(said), 'TIMEOUT', true],
    [
      'with a redirect',
      (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
      'OTHER',
      false,
    ],
    ['with less than its head says', (_, response) => response.end(wav.subarray(0, -2)), 'BAD_ANSWER', true],
    [
      'with the head of a WAV alone',
      (_, response) => response.end(wav.subarray(0, wav.indexOf('data') + 8)),
      'BAD_ANSWER',
      true,
    ],
  ])(
    'A speech provider that fails is reported by type, leaves nothing, and is not asked again: %s',
    async (_, listener, problem, retryable) => {
      answerWith = listener;
      const answer = await app.query(speak, { text: 'Hello.' });
      expect(answer.status).toBe(502);
      expect(answer.errors).toMatchObject([{ extensions: { code: 'PROVIDER_FAILED', problem, retryable } }]);
      expect(asked.length).toBe(1);
      await expectNothingKept();
      const everything = JSON.stringify([answer.errors, app.logs]);
      expect(everything).not.toContain(key);
      expect(JSON.stringify(answer.errors)).not.toContain('SECRET');
      expect(app.logs.filter((line) => line.msg === 'speech provider failed')).toMatchObject([{ problem }]);
    },
  );
});

describe('the limits of a speech provider', () => {
  test('A speech provider that hangs before its answer is given up', async () => {
    answerWith = () => {};
    await expect(synthesize({ ...roomy, idleMs: 100 })).rejects.toMatchObject({
      problem: 'TIMEOUT',
      retryable: true,
    });
    await expect.poll(() => openAnswers).toBe(0);
    await expectNothingKept();
  });

  test('A speech provider that hangs in the middle of its answer is given up', async () => {
    answerWith = (_request, response) => void response.write(Buffer.concat([wav, wav]));
    await expect(synthesize({ ...roomy, idleMs: 200 })).rejects.toMatchObject({ problem: 'TIMEOUT' });
    await expect.poll(() => openAnswers).toBe(0);
    await expectNothingKept();
  });

  test('A speech provider that drips is given up', async () => {
    answerWith = (_request, response) => {
      response.write(wav);
      const timer = setInterval(() => response.write(Buffer.alloc(1)), 10);
      response.on('close', () => clearInterval(timer));
    };
    await expect(synthesize({ ...roomy, totalMs: 500 })).rejects.toMatchObject({ problem: 'TIMEOUT' });
    await expect.poll(() => openAnswers).toBe(0);
    await expectNothingKept();
  });

  test('A speech provider that never ends is cut off', async () => {
    let sent = 0;
    answerWith = (_request, response) => {
      const pour = () => {
        while (!response.destroyed) {
          const more = Buffer.alloc(65_536);
          sent += more.length;
          if (!response.write(more)) return;
        }
      };
      response.on('drain', pour);
      response.write(wav);
      pour();
    };
    await expect(synthesize(roomy)).rejects.toMatchObject({ problem: 'BAD_ANSWER', retryable: false });
    await expect.poll(() => openAnswers).toBe(0);
    // What lay in buffers comes on top.
    expect(sent).toBeLessThan(20 * roomy.maxBytes);
    await expectNothingKept();
  });

  test('Speech that is in progress ends when the server stops', async () => {
    await using stopping = await startApp({ TTS_API_URL: providerUrl });
    const reached = Promise.withResolvers<void>();
    answerWith = () => reached.resolve();
    const answer = stopping.query(speak, { text: 'Hello.' });
    await reached.promise;
    await stopping.app.speech.close();
    expect(await answer).toMatchObject({ errors: [{ extensions: { code: 'PROVIDER_FAILED', retryable: true } }] });
    expect(await stopping.app.db.speechClip.count()).toBe(0);
  });
});

describe('an agent’s own provider', () => {
  async function giveAgent(to: TestApp, tts: object, keyFor?: string) {
    const { db, runs } = to.app;
    const { id, tenantId } = await db.agent.findFirstOrThrow({ where: { tenantId: 'acme', isDefault: true } });
    await db.agent.update({ where: { id }, data: { tts } });
    if (keyFor !== undefined) {
      const owner = { agentId: id, tenantId };
      await putSecret(db, runs.agents.keys, owner, { name: 'tts', origin: new URL(keyFor).origin, value: ownKey });
    }
    runs.agents.config.clear();
  }
  const ownKey = 'sk-own-0123456789abcdef';
  beforeEach(() => {
    answerWith = (_request, response) => response.end(wav);
  });

  test('An agent’s speech provider on a private address is not dialled', async () => {
    await using guarded = await startApp({});
    await giveAgent(guarded, { provider: 'custom', apiUrl: providerUrl }, providerUrl);
    const refused = await guarded.query(speak, { text: 'Hello.' });
    expect(refused.errors).toMatchObject([{ extensions: { code: 'PROVIDER_FAILED', problem: 'ADDRESS_NOT_ALLOWED' } }]);
    expect(asked).toEqual([]);
    expect(JSON.stringify([refused.errors, guarded.logs])).not.toContain(ownKey);
  });

  test('An agent’s speech provider is dialled if the operator allows it, and is sent its key', async () => {
    await using open = await startApp({ MODEL_ALLOWED_HOSTS: '127.0.0.1/' });
    const options = { speed: 2, input: 'no', model: 'no' };
    const own = { provider: 'custom', apiUrl: providerUrl, voice: 'v', options };
    await giveAgent(open, own, 'https://elsewhere.test');
    expect((await open.query(speak, { text: 'Hello.' })).errors).toEqual([]);
    await giveAgent(open, own, providerUrl);
    expect((await open.query(speak, { text: 'Hello.' })).errors).toEqual([]);
    expect(asked.map(({ headers }) => headers.authorization)).toEqual([undefined, `Bearer ${ownKey}`]);
    const sent = { speed: 2, input: 'Hello.', model: 'tts-1', voice: 'v', response_format: 'wav' };
    expect(JSON.parse(asked[0]?.body ?? '')).toEqual(sent);
  });

  test('An agent’s speech provider on another path of the environment’s host is guarded, and not sent the environment’s key', async () => {
    await giveAgent(app, { provider: 'custom', apiUrl: `${new URL(providerUrl).origin}/admin` });
    const refused = await app.query(speak, { text: 'Hello.' });
    expect(refused.errors).toMatchObject([{ extensions: { code: 'PROVIDER_FAILED', problem: 'ADDRESS_NOT_ALLOWED' } }]);
    expect(asked).toEqual([]);
    await using open = await startApp({
      TTS_API_URL: providerUrl,
      TTS_API_KEY: key,
      MODEL_ALLOWED_HOSTS: '127.0.0.1/',
    });
    await giveAgent(open, { provider: 'custom', apiUrl: `${new URL(providerUrl).origin}/admin` });
    expect((await open.query(speak, { text: 'Hello.' })).errors).toEqual([]);
    expect(asked.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test('An agent’s speech provider of Azure is addressed by deployment and version, with its own header', async () => {
    const apiUrl = new URL(providerUrl).origin;
    const azure = { provider: 'azure-openai', apiUrl, model: 'my tts' };
    await using open = await startApp({ MODEL_ALLOWED_HOSTS: '127.0.0.1/' });
    await giveAgent(open, { ...azure, options: { apiVersion: '2025-01-01' } }, apiUrl);
    expect((await open.query(speak, { text: 'Hello.' })).errors).toEqual([]);
    await giveAgent(open, { ...azure, apiUrl: `${apiUrl}/openai/v1` }, apiUrl);
    expect((await open.query(speak, { text: 'Hello.' })).errors).toEqual([]);
    expect(asked.map(({ url }) => url)).toEqual([
      '/openai/deployments/my%20tts/audio/speech?api-version=2025-01-01',
      '/openai/v1/audio/speech',
    ]);
    expect(asked.map(({ headers }) => headers['api-key'])).toEqual([ownKey, ownKey]);
    expect(JSON.parse(asked[0]?.body ?? '')).not.toHaveProperty('apiVersion');
  });
});

describe('the providers of the environment', () => {
  const openai = { apiUrl: openaiUrl, apiKey: key, isDemo: false };
  const demo = { apiUrl: 'http://127.0.0.1:9/v1', apiKey: '', isDemo: true };
  const tts = { provider: 'openai', apiUrl: null, apiKey: null, model: null, voice: null, sampleRate: null };
  const stt = { provider: 'groq', apiUrl: null, apiKey: 'gsk_1', model: null, path: null, language: null };

  test('The speech providers of the environment use the model’s key at its origin and nowhere else', () => {
    const own = { apiUrl: openaiUrl, model: 'gpt-4o-mini-tts', voice: 'alloy', guarded: false };
    expect(readTtsDefault(tts, openai)?.endpoint).toMatchObject({ ...own, apiKey: key });
    expect(readTtsDefault({ ...tts, apiKey: 'sk-own' }, openai)?.endpoint).toMatchObject({ ...own, apiKey: 'sk-own' });
    expect(readTtsDefault(tts, { ...openai, apiUrl: 'https://llm.test/v1' })?.endpoint).toMatchObject({ apiKey: '' });
    const groq = { apiUrl: 'https://api.groq.com/openai/v1', apiKey: 'gsk_1', protocol: 'http' };
    expect(readSttDefault(stt, openai)?.endpoint).toMatchObject(groq);
    expect(readSttDefault({ ...stt, apiKey: null }, openai)?.endpoint).toMatchObject({ apiKey: '' });
  });

  test('The speech providers of the environment are the demo if the demo model answers, and nobody else’s', () => {
    expect(readTtsDefault(null, demo)?.endpoint).toMatchObject({ apiUrl: demo.apiUrl, model: 'switchboard-demo' });
    expect(readSttDefault(null, demo)?.endpoint).toMatchObject({ apiUrl: demo.apiUrl, protocol: 'http' });
    expect([readTtsDefault(null, openai), readSttDefault(null, openai)]).toEqual([null, null]);
    const ofDemo = readTtsDefault(null, demo)?.endpoint ?? null;
    const ofOpenai = readTtsDefault(tts, openai)?.endpoint ?? null;
    expect(resolveTts({ provider: 'demo' }, null, ofDemo)).toMatchObject({ apiUrl: demo.apiUrl, guarded: false });
    expect(resolveTts({ provider: 'demo' }, null, ofOpenai)).toBeNull();
  });

  test('The speech providers of the environment are shown without their addresses and keys', () => {
    const custom = { ...tts, provider: 'custom', apiUrl: 'https://tts.internal/v1', apiKey: key };
    const shown = readTtsDefault(custom, openai)?.config;
    expect(shown).toMatchObject({ provider: 'custom', model: 'tts-1', apiUrl: null, apiKeyHint: null });
    expect(JSON.stringify(shown)).not.toMatch(/internal|sk-/);
  });
});

test.each([
  [{ TTS_PROVIDER: 'acme' }, /TTS_API_URL is missing: the provider acme has no default address/],
  [{ STT_PROVIDER: 'whisper-live' }, /STT_API_URL is missing: the provider whisper-live has no/],
  [{ TTS_PROVIDER: 'demo' }, /TTS_API_URL is missing: the provider demo has no/],
])('A server whose environment does not say the address of its provider does not start: %j', async (env, message) => {
  await expect(startTestApp({ env })).rejects.toThrow(message);
});
