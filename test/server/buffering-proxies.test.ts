import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { startBufferingProxy } from '../support/proxies/buffering-proxy.ts';
import { startNginx } from '../support/proxies/nginx.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const app = shareApp();

const proxies = { 'a plain nginx': startNginx, 'a proxy that buffers like it': startBufferingProxy };

describe.each(Object.entries(proxies))('Streams behind %s', (_, startProxy) => {
  test('S11 The tokens of a turn arrive while the model still writes', async () => {
    await using proxy = await startProxy(app.url);
    const { token, conversationId } = await openChat(app);
    const gate = createGate();
    app.model.add({ text: ['One', ' two'], afterTokens: 1, gate });
    const response = await fetch(`${proxy.url}/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream', 'content-type': 'application/json' },
      body: JSON.stringify({
        query: `subscription ($input: ChatTurnInput!) { chatTurn(input: $input) {
          __typename ... on TextDelta { delta } } }`,
        variables: { input: { conversationId, content: 'Count.', idempotencyKey: crypto.randomUUID() } },
      }),
    });
    expect(response.headers.get('cache-control')).toContain('no-transform');
    const reader = response.body?.getReader();
    const decoder = new TextDecoder();
    let text = '';
    const readUntil = async (wanted: string) => {
      while (!text.includes(wanted)) {
        const { value, done } = (await reader?.read()) ?? { done: true };
        if (done) throw new Error(`The stream ended with: ${text}`);
        text += decoder.decode(value, { stream: true });
      }
    };
    // The model holds the rest back until the first token has come through.
    await readUntil('"delta":"One"');
    expect(text).not.toContain(' two');
    gate.open();
    await readUntil('RunCompleted');
  });

  test('S11 Without the headers of ours, the proxy holds the same stream back', async () => {
    const end = Promise.withResolvers<void>();
    const plain = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: first\n\n');
      void end.promise.then(() => response.end('data: last\n\n'));
    });
    await once(plain.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void plain.close());
    await using proxy = await startProxy(`http://127.0.0.1:${(plain.address() as AddressInfo).port}`);
    let text = '';
    const reading = (async () => {
      const response = await fetch(proxy.url);
      for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString();
    })();
    // Long enough for a stream that is passed on, and with nothing to wait for.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(text).toBe('');
    end.resolve();
    await reading;
    expect(text).toBe('data: first\n\ndata: last\n\n');
  });
});
