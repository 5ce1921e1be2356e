import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from 'graphql-ws';
import { SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { parse } from 'yaml';
import { z } from 'zod';
import { readEnv } from '../../src/config/env.ts';
import { startTestApp, testAudience, testIssuer } from '../support/app.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { findPort, findProgram } from '../support/proxies/find-program.ts';
import { startHaproxy, startTcpBalancer } from '../support/proxies/haproxy.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const secret = 's'.repeat(40);
const token = await new SignJWT({ tenant: 'acme' })
  .setProtectedHeader({ alg: 'HS256' })
  .setSubject('alice')
  .setIssuer(testIssuer)
  .setAudience(testAudience)
  .setExpirationTime('1h')
  .sign(new TextEncoder().encode(secret));
const env = { JWT_SECRET: secret, TRUST_PROXY: '1' };

// Installed where CI runs, which fails without it.
const hasProxy = findProgram('haproxy') !== null || process.env.CI !== undefined;

test('The proxy has room for the instances of compose.yaml, and ends idle connections before they do', () => {
  const config = readFileSync(join(root, 'deploy/haproxy.cfg'), 'utf8');
  const compose = z
    .object({ services: z.object({ switchboard: z.object({ deploy: z.object({ replicas: z.number() }) }) }) })
    .parse(parse(readFileSync(join(root, 'compose.yaml'), 'utf8')));
  expect(config).toContain(`server-template switchboard ${compose.services.switchboard.deploy.replicas} switchboard:`);
  const [, seconds] = /timeout http-keep-alive (\d+)s/.exec(config) ?? [];
  expect(Number(seconds)).toBeLessThan(readEnv({}).keepAliveSeconds);
  expect(Number(seconds)).toBeGreaterThan(0);
});

test.runIf(hasProxy)(
  'The tokens of a turn come through the proxy while the model still writes, on a socket and as an event stream',
  async () => {
    await using app = await startTestApp({ env });
    await using proxy = await startHaproxy([app.url]);
    const conversationId = await createConversation(proxy.url);
    const query =
      'subscription ($input: ChatTurnInput!) { chatTurn(input: $input) { __typename ... on TextDelta { delta } } }';

    const first = createGate();
    app.model.add({ text: ['One', ' two'], afterTokens: 1, gate: first });
    await using socket = openSocket(proxy.url);
    const events: unknown[] = [];
    const input = { conversationId, content: 'Count.', idempotencyKey: 'a' };
    for await (const { data } of socket.client.iterate<{ chatTurn: { __typename: string; delta?: string } }>({
      query,
      variables: { input },
    })) {
      events.push(data?.chatTurn.delta ?? data?.chatTurn.__typename);
      // The model writes the second token when the first was read.
      if (data?.chatTurn.delta === 'One') first.open();
    }
    expect(events).toEqual(expect.arrayContaining(['One', ' two', 'RunCompleted']));

    const second = createGate();
    app.model.add({ text: ['Three', ' four'], afterTokens: 1, gate: second });
    const response = await fetch(`${proxy.url}/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream', 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables: { input: { ...input, idempotencyKey: 'b' } } }),
    });
    let text = '';
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk;
      if (text.includes('"Three"')) second.open();
    }
    expect(text).toContain('RunCompleted');
  },
);

// The embedded database has one instance.
test.runIf(hasProxy && process.env.TEST_DATABASE_URL)(
  'An instance that stops in the middle of a turn is left for the other, and the turn is read to its end',
  async () => {
    await using database = await createTestDatabase();
    const options = { databaseUrl: database.url, env: { ...env, DRAIN_SECONDS: '2' } };
    await using one = await startTestApp(options);
    // Both ask the same model.
    await using other = await startTestApp({ ...options, env: { ...options.env, OPENAI_BASE_URL: one.model.url } });
    await using proxy = await startHaproxy([one.url, other.url]);
    const conversationId = await createConversation(proxy.url);

    const gate = createGate();
    one.model.add({ text: ['A', ' b'], afterTokens: 1, gate });
    await using socket = openSocket(proxy.url);
    const query = `subscription ($input: ChatTurnInput!) { chatTurn(input: $input) {
    __typename seq ... on TextDelta { delta } ... on MessageCompleted { message { content } } } }`;
    const input = { conversationId, content: 'Hello.', idempotencyKey: 'k' };
    const seen: string[] = [];
    const texts: string[] = [];
    let stopped: Promise<void> | undefined;
    for await (const { data } of socket.client.iterate<{
      chatTurn: { __typename: string; message?: { content: string } };
    }>({ query, variables: { input } })) {
      seen.push(data?.chatTurn.__typename ?? '');
      if (data?.chatTurn.message) texts.push(data.chatTurn.message.content);
      if (stopped !== undefined || data?.chatTurn.__typename !== 'TextDelta') continue;
      const owner = one.app.runs.running.size === 1 ? one : other;
      stopped = owner.app.close();
      gate.open();
    }
    await stopped;
    expect(texts).toEqual(['A b']);
    expect(seen.filter((type) => type === 'RunCompleted')).toHaveLength(1);
    expect((await fetch(`${proxy.url}/ready`)).status).toBe(200);
  },
);

test.runIf(hasProxy)(
  'A proxy that is restarted in the middle of a turn costs its readers a connection, and no event',
  async () => {
    await using app = await startTestApp({ env });
    const port = await findPort();
    const first = await startTcpBalancer([app.url], port);
    const conversationId = await createConversation(first.url);
    const gate = createGate();
    app.model.add({ text: ['A', ' b', ' c'], afterTokens: 2, gate });
    await using socket = openSocket(first.url);
    let connections = 0;
    socket.client.on('connected', () => {
      connections += 1;
    });
    const query = `subscription ($input: ChatTurnInput!) { chatTurn(input: $input) {
      __typename seq ... on TextDelta { offset delta } } }`;
    const input = { conversationId, content: 'Count.', idempotencyKey: 'k' };
    let text = '';
    const seen: string[] = [];
    await using later = new AsyncDisposableStack();
    let restarting: Promise<void> | undefined;
    for await (const { data } of socket.client.iterate<{
      chatTurn: { __typename: string; offset?: number; delta?: string };
    }>({ query, variables: { input } })) {
      const { __typename = '', offset = 0, delta } = data?.chatTurn ?? {};
      seen.push(__typename);
      if (delta !== undefined) text = text.slice(0, offset) + delta;
      if (restarting !== undefined || text !== 'A b') continue;
      const restart = async () => {
        await first[Symbol.asyncDispose]();
        later.use(await startTcpBalancer([app.url], port));
        // What follows is read through the new one.
        gate.open();
      };
      restarting = restart();
    }
    await restarting;
    expect(connections).toBe(2);
    expect(text).toBe('A b c');
    expect(seen.filter((type) => type === 'RunCompleted')).toHaveLength(1);
  },
);

/** A client that connects again as long as it takes. */
function openSocket(url: string) {
  const client = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    retryAttempts: 50,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 100)),
    shouldRetry: () => true,
  });
  return { client, [Symbol.asyncDispose]: async () => await client.dispose() };
}

async function createConversation(url: string): Promise<string> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query: 'mutation { createConversation(input: { scenarioKey: "assistant" }) { id } }' }),
  });
  const answer = z.object({ data: z.object({ createConversation: z.object({ id: z.string() }) }) });
  return answer.parse(await response.json()).data.createConversation.id;
}
