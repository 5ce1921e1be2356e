import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { unpackArchive } from '../support/archive.ts';
import { documents, openChat } from '../support/chat.ts';

// A model provider of a user's own choosing that never stops talking, as fast as it is read.

const piece = (delta: object) => `data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`;
const alternating = piece({ content: 'a' }) + piece({ reasoning_content: 'b' });

/** How each path of the provider talks: in blocks of many events, in one event a packet, in long texts. */
const blocks: Readonly<Record<string, string>> = {
  many: alternating.repeat(500),
  single: alternating,
  long: piece({ content: 'x'.repeat(50_000) }),
};
const talking = new Set<ServerResponse>();
const provider = createServer(async (request, response) => {
  const block = blocks[request.url?.split('/')[1] ?? ''] ?? '';
  request.resume();
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  talking.add(response);
  response.on('close', () => talking.delete(response));
  while (!response.destroyed) {
    const drained = response.write(block);
    if (!drained) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    // Each block is a packet of its own.
    await new Promise((resolve) => setImmediate(resolve));
  }
});
beforeAll(() => new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve)));
afterAll(() => {
  provider.closeAllConnections();
  provider.close();
});

const limits = { MAX_RUN_EVENTS: '2000', MAX_RUN_BYTES: '200000' };

test.each(Object.keys(blocks))(
  'A model that talks without end (%s) is stopped, and stops nobody else',
  async (kind) => {
    const url = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/${kind}`;
    await using app = await startTestApp({
      env: { ...limits, OPENAI_BASE_URL: url, MODEL_API: 'chat_completions', RUN_TIMEOUT_SECONDS: '60' },
    });
    const chat = await openChat(app);
    const input = { conversationId: chat.conversationId, content: 'Talk', idempotencyKey: 'talk' };
    let ended = false;
    const turn = chat.ask(documents.sendMessage, { input }).finally(() => {
      ended = true;
    });
    // Someone else is served all the time: the loop is not held by the stream.
    let served = 0;
    while (!ended) {
      expect((await fetch(`${app.url}/health`)).status).toBe(200);
      served += 1;
    }
    expect(served).toBeGreaterThan(5);

    const { sendMessage: run } = await turn;
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'MODEL_ERROR', retryable: false } });
    const answer = run.messages.find(({ status }: { status: string }) => status === 'PARTIAL');
    expect(answer.content).toMatch(/^(a+|x+)$/);
    const archive = await app.app.db.runArchive.findFirstOrThrow();
    const events = await unpackArchive(archive.runId, archive.events);
    expect(events.length).toBeLessThanOrEqual(2_000);
    const text = events.map((event) => ('delta' in event ? event.delta : '')).join('');
    // The limit, and the one network chunk in which it was exceeded.
    expect(text.length).toBeLessThanOrEqual(200_000 + 200_000);
    await expect.poll(() => talking.size).toBe(0);

    // Many readers replay it at once: each has all of it, from one reading of the archive.
    const whole = { text, last: events.at(-1)?.seq };
    const replays = await Promise.all(
      Array.from({ length: 10 }, (_, index) => chat.runEvents(index % 2 === 0 ? 'ws' : 'sse', run.id).rest()),
    );
    for (const replay of replays) {
      expect(replay.map((event) => ('delta' in event ? event.delta : '')).join('')).toBe(whole.text);
      expect(replay.at(-1)?.seq).toBe(whole.last);
    }
  },
);
