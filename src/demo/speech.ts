import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { parseJson } from '../engine/json.ts';
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

/** The speech endpoints of the demo server, by path, all POST. It speaks in tones, and transcribes its own tones. */
export const speechRoutes: Readonly<Record<string, Answer>> = {
  '/v1/audio/speech': async (body, _incoming, response) => {
    const read = speechBody.safeParse(parseJson(body.toString('utf8')));
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
  '/v1/audio/transcriptions': async (body, incoming, response) => {
    const form = await readForm(body, incoming.headers['content-type'] ?? '');
    if (form === null) return refuse(response, 400, 'Send multipart/form-data.');
    const file = form.get('file');
    if (!(file instanceof File) || !form.has('model')) return refuse(response, 400, 'file and model are required.');
    const { text, durationMs } = transcribe(Buffer.from(await file.arrayBuffer()));
    const verbose = form.get('response_format') === 'verbose_json';
    const about = durationMs === null ? {} : { duration: durationMs / 1_000 };
    const more = verbose
      ? { task: 'transcribe', language: form.get('language') ?? 'english', ...about, segments: [] }
      : {};
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ text, ...more }));
  },
};

async function readForm(body: Buffer, contentType: string): Promise<FormData | null> {
  const request = new Response(Buffer.from(body), { headers: { 'content-type': contentType } });
  return request.formData().catch(() => null);
}

/** The text of a file that the demo spoke itself; of any other file, a sentence that says how long it is. */
function transcribe(file: Buffer): { text: string; durationMs: number | null } {
  try {
    const { durationMs } = readWav(file);
    return { text: readSpokenText(file) ?? describeDuration(durationMs), durationMs };
  } catch {
    return { text: `${demoSoftware} reads WAV files only; this one has ${file.length} bytes.`, durationMs: null };
  }
}

/** The text of a sound that the demo did not make. */
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

function refuse(response: ServerResponse, status: number, message: string): void {
  sendJson(response, status, errorBody(status, message));
}
