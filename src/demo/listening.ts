import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { parseJson } from '../engine/json.ts';
import { readPath } from './request-path.ts';
import { describeDuration } from './speech.ts';

/** Where the demo listens to a stream. */
const path = '/v1/audio/stream';
const rate = 16_000;
const floatBytes = 4;
/** With no more audio for so long, what was said is over, in milliseconds. */
const pauseMs = 300;

const configuration = z.object({ uid: z.string(), language: z.string().nullish() });

/** A listener over WebSockets, as WhisperLive speaks: see providers/transcription-socket.ts. */
export interface DemoListener {
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  readonly close: () => void;
}

/** Makes the listener of the demo server: it says how much it has heard, second by second, and in the end in one sentence. */
export function createListener(): DemoListener {
  const server = new WebSocketServer({ noServer: true, maxPayload: 4_000_000 });
  server.on('connection', (socket) => listen(socket));
  return {
    upgrade: (request, socket, head) => {
      if (readPath(request) !== path) {
        // Whoever asks may be gone by now.
        socket.on('error', () => {});
        socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n');
        return;
      }
      server.handleUpgrade(request, socket, head, (client) => server.emit('connection', client, request));
    },
    close: () => {
      for (const client of server.clients) client.terminate();
      server.close();
    },
  };
}

function listen(socket: WebSocket): void {
  let uid: string | null = null;
  let samples = 0;
  let pause: NodeJS.Timeout | undefined;
  const send = (message: object) => socket.send(JSON.stringify({ uid, ...message }));
  const report = (completed: boolean) => {
    const end = samples / rate;
    const text = ` ${describeDuration(end * 1_000)}`;
    send({ segments: [{ start: '0.000', end: end.toFixed(3), text, completed }] });
  };
  socket.on('error', () => socket.terminate());
  socket.on('close', () => clearTimeout(pause));
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    if (uid === null) {
      const read = isBinary ? null : configuration.safeParse(parseJson(data.toString('utf8')));
      if (!read?.success) return socket.close(1008, 'The configuration comes first.');
      uid = read.data.uid;
      if (!read.data.language) send({ language: 'en', language_prob: 1 });
      return send({ message: 'SERVER_READY', backend: 'demo' });
    }
    if (isBinary && data.equals(Buffer.from('END_OF_AUDIO'))) {
      clearTimeout(pause);
      if (samples > 0) report(true);
      return socket.close(1000);
    }
    samples += Math.floor(data.length / floatBytes);
    report(false);
    clearTimeout(pause);
    pause = setTimeout(() => report(true), pauseMs);
  });
}
