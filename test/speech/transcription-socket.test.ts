import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { startModelServer } from '../../src/demo/server.ts';
import { AddressGuard } from '../../src/outbound/address-guard.ts';
import type { TranscriptionEndpoint } from '../../src/providers/llm/endpoints.ts';
import { transcribeBySocket } from '../../src/providers/speech/transcription-socket.ts';
import { readWav } from '../../src/providers/speech/wav.ts';
import { readAnswer, startTestApp } from '../support/app.ts';
import { speakInTones } from '../support/scripted-model/speech.ts';

/** A whisper server as a test has it behave: it hears the configuration, and has the socket. */
type Behaviour = (socket: WebSocket, uid: string, configuration: Record<string, unknown>) => void;

let behave: Behaviour;
let server: WebSocketServer;
let url: string;
let headers: Record<string, unknown>[] = [];
const wav = readWav(speakInTones('Hello there, my friend.', 8_000));
const limits = { totalMs: 10_000, quietMs: 200, maxBytes: 10_000 };

beforeAll(async () => {
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket, request) => {
    headers.push({ ...request.headers, url: request.url });
    socket.once('message', (data) => {
      const configuration = JSON.parse(String(data));
      behave(socket, configuration.uid, configuration);
    });
  });
  await new Promise<void>((resolve) => server.once('listening', resolve));
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  for (const client of server.clients) client.terminate();
  server.close();
});
beforeEach(() => {
  headers = [];
});
// Whatever happened, the connection was let go of.
afterEach(() => expect.poll(() => server.clients.size).toBe(0));

function endpoint(changes: Partial<TranscriptionEndpoint> = {}): TranscriptionEndpoint {
  const usual = { path: null, query: {}, apiKey: '', keyStyle: 'bearer', options: {}, guarded: false } as const;
  return { ...usual, apiUrl: url, protocol: 'socket', model: 'small', language: null, ...changes };
}

const hear = (changes: Partial<TranscriptionEndpoint> = {}, more: Partial<typeof limits> = {}) =>
  transcribeBySocket(endpoint(changes), wav, {
    guard: null,
    limits: { ...limits, ...more },
    signal: new AbortController().signal,
  });

const end = wav.durationMs / 1_000;
const ready = (socket: WebSocket, uid: string, more: object = {}) =>
  socket.send(JSON.stringify({ uid, message: 'SERVER_READY', backend: 'faster_whisper', ...more }));
const say = (
  socket: WebSocket,
  uid: string,
  ...segments: [start: number, end: number, text: string, completed?: boolean][]
) =>
  socket.send(
    JSON.stringify({
      uid,
      segments: segments.map(([from, to, text, completed]) => ({
        start: from.toFixed(3),
        end: to.toFixed(3),
        text,
        completed,
      })),
    }),
  );

/** Counts the samples that come, and calls back when they are all there, and at the end. */
function receive(
  socket: WebSocket,
  on: { audio?: (samples: Float32Array) => void; all?: () => void; end?: () => void },
) {
  let heard = 0;
  socket.on('message', (data: Buffer, isBinary) => {
    if (!isBinary) return;
    if (String(data) === 'END_OF_AUDIO') return on.end?.();
    const samples = new Float32Array(new Uint8Array(data).buffer);
    on.audio?.(samples);
    heard += samples.length;
    if (heard >= (wav.durationMs / 1_000) * 16_000) on.all?.();
  });
}

test('The configuration is sent first, then floats at 16 kHz, then the end; segments come back', async () => {
  const frames: Float32Array[] = [];
  let configured: Record<string, unknown> = {};
  let ended = false;
  behave = (socket, uid, configuration) => {
    configured = configuration;
    ready(socket, uid);
    socket.send(JSON.stringify({ uid, language: 'de', language_prob: 0.9 }));
    receive(socket, {
      audio: (samples) => frames.push(samples),
      all: () => {
        say(socket, uid, [0, end / 2, ' Hallo', false]);
        say(socket, uid, [0, end / 2, ' Hallo da,', true], [end / 2, end, ' mein', false]);
        say(socket, uid, [0, end / 2, ' Hallo da,', true], [end / 2, end, ' mein Freund.', true]);
      },
      end: () => {
        ended = true;
        socket.close();
      },
    });
  };
  const options = { initial_prompt: 'Names: Bo.', uid: 'no', task: 'translate' };
  const heard = await hear({ path: '/asr', apiKey: 'sk-whisper', language: 'de-CH', options });
  expect(heard).toEqual({ text: 'Hallo da, mein Freund.', language: 'de', durationMs: wav.durationMs });
  expect(ended).toBe(true);
  expect(headers).toMatchObject([{ url: '/asr', authorization: 'Bearer sk-whisper' }]);
  const configuration = {
    model: 'small',
    language: 'de',
    task: 'transcribe',
    use_vad: true,
    initial_prompt: 'Names: Bo.',
  };
  expect(configured).toEqual({ ...configuration, uid: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  const samples = frames.flatMap((frame) => [...frame]);
  // The silence after it counts as well.
  expect(samples.length / 16_000).toBeCloseTo(end + 1.2, 1);
  expect(Math.max(...samples.map(Math.abs))).toBeGreaterThan(0.1);
  expect(samples.slice(-16_000).every((sample) => sample === 0)).toBe(true);
});

test('An address with http is dialled as ws', async () => {
  behave = (socket, uid) => {
    ready(socket, uid);
    receive(socket, { all: () => say(socket, uid, [0, end, 'Hi.', true]), end: () => socket.close() });
  };
  expect((await hear({ apiUrl: url.replace('ws', 'http') })).text).toBe('Hi.');
});

test('A last segment that never completes is accepted when no more news arrives', async () => {
  behave = (socket, uid) => {
    ready(socket, uid);
    const repeat = setInterval(() => say(socket, uid, [0, 1, ' One.', true], [1, end, ' two', false]), 20);
    receive(socket, { end: () => socket.close() });
    socket.on('close', () => clearInterval(repeat));
  };
  expect((await hear()).text).toBe('One. two');
});

test('A server that transcribes everything at the end is waited for; one that does not mark completed segments is understood', async () => {
  behave = (socket, uid) => {
    ready(socket, uid);
    receive(socket, {
      end: () => {
        say(socket, uid, [0, 1, ' Old'], [1, 2, ' server']);
        socket.close();
      },
    });
  };
  expect((await hear()).text).toBe('Old server');
});

const long = readWav(speakInTones('la '.repeat(60), 8_000));
const hearLong = (more: Partial<typeof limits> = {}) =>
  transcribeBySocket(endpoint(), long, {
    guard: null,
    limits: { ...limits, ...more },
    signal: new AbortController().signal,
  });

test('A server that takes long is waited for while there is sound that it has said nothing of', async () => {
  const seconds = long.durationMs / 1_000;
  let ended = false;
  behave = (socket, uid) => {
    ready(socket, uid);
    socket.once('message', () => {
      say(socket, uid, [0, 1, 'The first second', true]);
      // Three times as long as a server that has heard everything may be silent.
      setTimeout(() => say(socket, uid, [1, seconds, ' and the rest.', true]), 3 * limits.quietMs);
    });
    receive(socket, {
      end: () => {
        ended = true;
        socket.close();
      },
    });
  };
  expect((await hearLong()).text).toBe('The first second and the rest.');
  expect(ended).toBe(true);
});

test('Silence at the end need not be transcribed, and a shorter transcript is not enough', async () => {
  const told: number[] = [];
  behave = (socket, uid) => {
    ready(socket, uid);
    socket.once('message', () => say(socket, uid, [0, end, 'Before the silence.', true]));
    // It never closes.
    receive(socket, { end: () => told.push(1) });
  };
  const header = speakInTones('Hello there, my friend.', 8_000).subarray(0, -wav.data.length);
  const silent = Buffer.concat([header, wav.data, Buffer.alloc(5 * 8_000 * 2)]);
  silent.writeUInt32LE(0xffffffff, header.length - 4);
  const withSilence = readWav(silent);
  expect(withSilence.durationMs).toBe(wav.durationMs + 5_000);
  const options = { guard: null, limits, signal: new AbortController().signal };
  expect((await transcribeBySocket(endpoint(), withSilence, options)).text).toBe('Before the silence.');
  await expect(hearLong({ totalMs: 600 })).rejects.toMatchObject({ problem: 'TIMEOUT', retryable: true });
  expect(told).toEqual([1, 1]);
});

test('Silence gives an empty text', async () => {
  behave = (socket, uid) => {
    ready(socket, uid);
    receive(socket, { end: () => socket.close() });
  };
  expect((await hear()).text).toBe('');
});

test.each(['closes', 'disconnects'])('A server that %s by itself when it has heard all has succeeded', async (how) => {
  behave = (socket, uid) => {
    ready(socket, uid);
    receive(socket, {
      all: () => {
        say(socket, uid, [0, end, 'All of it.', true]);
        if (how === 'closes') socket.close();
        else socket.send(JSON.stringify({ uid, message: 'DISCONNECT' }));
      },
    });
  };
  expect((await hear()).text).toBe('All of it.');
});

test('Messages for other sessions are ignored', async () => {
  behave = (socket, uid) => {
    ready(socket, 'somebody else');
    say(socket, 'somebody else', [0, end, 'Not mine.', true]);
    ready(socket, uid);
    receive(socket, { all: () => say(socket, uid, [0, end, 'Mine.', true]), end: () => socket.close() });
  };
  expect((await hear()).text).toBe('Mine.');
});

test('Long audio is sent no further ahead of the transcript than a server buffers', async () => {
  const long = readWav(speakInTones('la '.repeat(260), 8_000));
  expect(long.durationMs).toBeGreaterThan(25_000);
  let sent = 0;
  let done = 0;
  let furthest = 0;
  behave = (socket, uid) => {
    ready(socket, uid);
    socket.on('message', (data: Buffer) => {
      sent += data.length / 4 / 16_000;
      furthest = Math.max(furthest, sent - done);
      // It writes down ten seconds when it has them.
      if (sent - done < 10 || done + 10 > long.durationMs / 1_000) return;
      say(socket, uid, [done, done + 10, ` ${done}`, true]);
      done += 10;
    });
  };
  const heard = await transcribeBySocket(endpoint(), long, {
    guard: null,
    limits,
    signal: new AbortController().signal,
  });
  const tens = Array.from({ length: Math.floor(long.durationMs / 10_000) }, (_, index) => index * 10);
  expect(heard.text).toBe(tens.join(' '));
  expect(furthest).toBeLessThan(18);
});

describe('failures of a transcription server', () => {
  const key = 'sk-stream-0123456789';
  test.each<[string, Behaviour, string]>([
    ['is full', (socket, uid) => socket.send(JSON.stringify({ uid, status: 'WAIT', message: 3 })), 'RATE_LIMITED'],
    ['fails', (socket, uid) => socket.send(JSON.stringify({ uid, status: 'ERROR', message: `bad ${key}` })), 'OTHER'],
    ['closes immediately', (socket) => socket.close(), 'BAD_ANSWER'],
    ['breaks off', (socket) => socket.terminate(), 'BAD_ANSWER'],
    ['sends no JSON', (socket) => socket.send('<html>'), 'BAD_ANSWER'],
    [
      'sends segments that are none',
      (socket, uid) => socket.send(JSON.stringify({ uid, segments: [{ start: 'x' }] })),
      'BAD_ANSWER',
    ],
    ['sends 2 MB at once', (socket) => socket.send('x'.repeat(2_000_000)), 'BAD_ANSWER'],
    [
      'sends more text than is taken',
      (socket, uid) => say(socket, uid, [0, 1, 'x'.repeat(20_000), true]),
      'BAD_ANSWER',
    ],
    [
      'disconnects in the midst',
      (socket, uid) => {
        ready(socket, uid);
        socket.once('message', () => socket.terminate());
      },
      'BAD_ANSWER',
    ],
    [
      'breaks off when it has everything',
      (socket, uid) => {
        ready(socket, uid);
        receive(socket, {
          all: () => {
            say(socket, uid, [0, 1, 'Half', false]);
            socket.terminate();
          },
        });
      },
      'BAD_ANSWER',
    ],
    [
      'closes with a segment open',
      (socket, uid) => {
        ready(socket, uid);
        receive(socket, {
          all: () => {
            say(socket, uid, [0, 0.5, 'Half', true], [0.5, end, 'of a wo', false]);
            socket.close();
          },
        });
      },
      'BAD_ANSWER',
    ],
    [
      'disconnects before it has heard a word',
      (socket, uid) => {
        ready(socket, uid);
        receive(socket, { all: () => socket.send(JSON.stringify({ uid, message: 'DISCONNECT' })) });
      },
      'BAD_ANSWER',
    ],
    [
      'fails when it is told the end',
      (socket, uid) => {
        ready(socket, uid);
        receive(socket, { end: () => socket.close(1011) });
      },
      'BAD_ANSWER',
    ],
    ['never is ready', () => {}, 'TIMEOUT'],
    [
      'has news for ever',
      (socket, uid) => {
        ready(socket, uid);
        let count = 0;
        const timer = setInterval(() => {
          count += 1;
          say(socket, uid, [0, 1, ` news ${count}`, false]);
        }, 20);
        socket.on('close', () => clearInterval(timer));
      },
      'TIMEOUT',
    ],
  ])('A transcription server that fails is reported by type: %s', async (_, behaviour, problem) => {
    behave = behaviour;
    const heard = hear({ apiKey: key }, problem === 'TIMEOUT' ? { totalMs: 400 } : {});
    await expect(heard).rejects.toMatchObject({
      name: 'ProviderError',
      problem,
      message: expect.not.stringContaining(key),
    });
  });

  test.each([1000, 1001])('A transcription server that closes (%d) in the middle is reported by type', async (code) => {
    const long = readWav(speakInTones('la '.repeat(40), 8_000));
    behave = (socket, uid) => {
      ready(socket, uid);
      socket.once('message', () => {
        say(socket, uid, [0, long.durationMs / 2_000, 'Half', true]);
        // Behind the last of the audio, so that it is not in the midst of it.
        socket.on('message', (data: Buffer) => data.length === 1.2 * 16_000 * 4 && socket.close(code));
      });
    };
    const options = { guard: null, limits, signal: new AbortController().signal };
    await expect(transcribeBySocket(endpoint(), long, options)).rejects.toMatchObject({
      problem: 'BAD_ANSWER',
      message: expect.stringContaining('before all of the audio was transcribed'),
    });
  });

  test('A transcription server that does not speak WebSocket is reported by type', async () => {
    await using http = { ...(await startModelServer({ respond: () => ({}) })), async [Symbol.asyncDispose]() {} };
    await expect(hear({ apiUrl: http.url })).rejects.toMatchObject({ problem: 'UNKNOWN_MODEL' });
    await http.close();
  });

  test('A transcription server that does not exist is reported by type', async () => {
    await expect(hear({ apiUrl: 'ws://127.0.0.1:1' })).rejects.toMatchObject({
      problem: 'UNREACHABLE',
      retryable: true,
    });
  });

  test('A transcription server at a forbidden address is reported by type', async () => {
    const signal = new AbortController().signal;
    const refused = transcribeBySocket(endpoint({ guarded: true }), wav, { guard: new AddressGuard(), limits, signal });
    await expect(refused).rejects.toMatchObject({ problem: 'ADDRESS_NOT_ALLOWED', retryable: false });
    // A name that leads there is found out when it is dialled.
    const guard = new AddressGuard([], async () => [{ address: '127.0.0.1', family: 4 }]);
    const apiUrl = url.replace('127.0.0.1', 'whisper.example.com');
    const led = transcribeBySocket(endpoint({ apiUrl, guarded: true }), wav, { guard, limits, signal });
    await expect(led).rejects.toMatchObject({ problem: 'ADDRESS_NOT_ALLOWED' });
    expect(headers).toEqual([]);
  });
});

test('Through the server, with the demo’s listener, a WAV is heard, and nothing else is accepted', async () => {
  const demo = await startModelServer({ respond: () => ({}) });
  const streamUrl = `${demo.url.replace('http', 'ws')}/audio`;
  await using app = await startTestApp({
    env: { STT_PROVIDER: 'whisper-live', STT_API_URL: streamUrl, STT_PATH: '/stream' },
  });
  const listen = async (data: Uint8Array<ArrayBuffer>) => {
    const form = new FormData();
    const query = 'mutation ($audio: File!) { transcribeAudio(audio: $audio) { text language durationMs } }';
    form.append('operations', JSON.stringify({ query, variables: { audio: null } }));
    form.append('map', '{"0":["variables.audio"]}');
    form.append('0', new File([data], 'x'));
    const headers = { authorization: `Bearer ${await app.token()}`, 'graphql-require-preflight': '1' };
    return readAnswer(await fetch(`${app.url}/graphql`, { method: 'POST', headers, body: form }));
  };
  const file = speakInTones('One two three four five six.', 24_000);
  const { durationMs } = readWav(file);
  const { data, errors } = await listen(new Uint8Array(file));
  expect(errors).toEqual([]);
  expect(data.transcribeAudio).toEqual({
    text: expect.stringMatching(/^Switchboard's demo model heard \d\.\d seconds of audio\.$/),
    language: 'en',
    durationMs,
  });
  const adpcm = new Uint8Array(file);
  adpcm[20] = 2;
  const long = new Uint8Array(Buffer.concat([file.subarray(0, 44), Buffer.alloc(1)]));
  // One channel of 8 bits, 1,000 a second: eleven minutes are small.
  const slow = speakInTones('x', 1_000);
  const view = new DataView(new ArrayBuffer(44 + 700_000));
  new Uint8Array(view.buffer).set(slow.subarray(0, 36));
  view.setUint16(32, 1, true);
  view.setUint16(34, 8, true);
  new Uint8Array(view.buffer).set(Buffer.from('data'), 36);
  view.setUint32(40, 700_000, true);
  const flac = new Uint8Array(Buffer.concat([Buffer.from('fLaC'), Buffer.alloc(100)]));
  for (const [sound, why] of [
    [flac, 'must be a WAV file'],
    [adpcm, 'compressed'],
    [long, 'holds no sound'],
    [new Uint8Array(view.buffer), 'at most 10 minutes'],
  ] as const) {
    const answer = await listen(sound);
    expect(answer).toMatchObject({
      status: 400,
      errors: [{ extensions: { code: 'BAD_USER_INPUT', path: ['audio'] } }],
    });
    expect(answer.errors[0]?.message).toContain(why);
  }
  await demo.close();
});
