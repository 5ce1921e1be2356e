import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { parseMultipart, readBoundary } from '../api/multipart.ts';
import { listRiffChunks, readWav } from '../providers/speech/wav.ts';
import { errorBody, sendJson } from './playback.ts';
import { demoSoftware, speakInChunks } from './tones.ts';

/** Answers one request; the body was read. */
type Answer = (body: Buffer, incoming: IncomingMessage, response: ServerResponse) => Promise<void> | void;

const paceBytes = 64 * 1024;

const speechBody = z.object({
  model: z.string(),
  input: z.string().min(1).max(20_000),
  voice: z.string().optional(),
  response_format: z.enum(['wav']).optional(),
  sample_rate: z.int().min(8_000).max(48_000).optional(),
});

/** What the demo server has of speech, by path: POST all. It speaks in tones, and hears its own tones. */
export const speechRoutes: Readonly<Record<string, Answer>> = {
  '/v1/audio/speech': async (body, _incoming, response) => {
    const read = speechBody.safeParse(parseJson(body));
    if (!read.success) {
      const [issue] = read.error.issues;
      return refuse(response, 400, `${issue?.path.join('.')}: ${issue?.message}. The demo writes WAV only.`);
    }
    const wav = await speakInChunks(read.data.input, read.data.sample_rate ?? 24_000);
    if (response.destroyed) return;
    response.writeHead(200, { 'content-type': 'audio/wav' });
    // In pieces, as the real ones come.
    for (let at = 0; at < wav.length && !response.destroyed; at += paceBytes) {
      response.write(wav.subarray(at, at + paceBytes));
      await sleep(1);
    }
    response.end();
  },
  '/v1/audio/transcriptions': (body, incoming, response) => {
    const boundary = readBoundary(incoming.headers['content-type']);
    if (boundary === null) return refuse(response, 400, 'Send multipart/form-data.');
    const parts = parseMultipart(body, boundary, 50);
    const field = (name: string) => parts.find((part) => part.name === name)?.data.toString('utf8');
    const file = parts.find((part) => part.name === 'file');
    if (file === undefined || field('model') === undefined) return refuse(response, 400, 'file and model are needed.');
    const { text, durationMs } = hear(file.data);
    const verbose = field('response_format') === 'verbose_json';
    const about = durationMs === null ? {} : { duration: durationMs / 1_000 };
    const more = verbose
      ? { task: 'transcribe', language: field('language') ?? 'english', ...about, segments: [] }
      : {};
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ text, ...more }));
  },
};

/** What the demo makes of a file: the text that it spoke itself, else how long it is. */
function hear(file: Buffer): { text: string; durationMs: number | null } {
  try {
    const { durationMs } = readWav(file);
    return { text: readSpokenText(file) ?? describeDuration(durationMs), durationMs };
  } catch {
    return { text: `${demoSoftware} reads WAV files only; this one has ${file.length} bytes.`, durationMs: null };
  }
}

/** What the demo says of a sound that it does not understand. */
export function describeDuration(durationMs: number): string {
  return `${demoSoftware} heard ${(durationMs / 1_000).toFixed(1)} seconds of audio.`;
}

function readSpokenText(file: Buffer): string | null {
  for (const { id, data } of listRiffChunks(file)) {
    if (id !== 'LIST' || data.toString('latin1', 0, 4) !== 'INFO') continue;
    // The chunks within begin after "INFO", as those of a file begin after its first 12 bytes.
    const info = new Map<string, string>();
    for (const entry of listRiffChunks(Buffer.concat([Buffer.alloc(8), data]))) {
      info.set(entry.id, entry.data.toString('utf8').replace(/\0+$/, ''));
    }
    if (info.get('ISFT') === demoSoftware) return info.get('ICMT') ?? null;
  }
  return null;
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  sendJson(response, status, errorBody(status, message));
}
