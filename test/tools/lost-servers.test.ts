import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { documents, openSocketClient } from '../support/chat.ts';
import { findPort } from '../support/proxies/find-program.ts';

test('A tool server that is away, hangs or returns an error is reported to the model, is called once, and the turn goes on', async () => {
  await using cleanup = new AsyncDisposableStack();
  const received: string[] = [];
  const server = createServer((request, response) => {
    received.push(request.url ?? '');
    // The other one is never answered.
    if (request.url === '/fails') response.writeHead(503).end('Out of order.');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanup.defer(() => void server.close());
  cleanup.defer(() => server.closeAllConnections());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : null;
  const closed = await findPort();
  await using app = await startTestApp({
    env: { MODEL_ALLOWED_HOSTS: `127.0.0.1:${port}/,127.0.0.1:${closed}/` },
  });
  const token = await app.token({ sub: 'root', roles: ['admin'] });
  const ask = async (document: string, input: Record<string, unknown>) => {
    const { data, errors } = await app.query(document, { input }, { token });
    expect(errors).toEqual([]);
    return data;
  };
  const urls = {
    away: `http://127.0.0.1:${closed}/away`,
    hangs: `http://127.0.0.1:${port}/hangs`,
    fails: `http://127.0.0.1:${port}/fails`,
  };
  for (const [name, url] of Object.entries(urls)) {
    // A tool that may be called twice, so that nothing but the rule keeps it from that.
    const tool = { name, description: 'Looks.', parameters: { type: 'object' }, method: 'GET', url, timeoutMs: 1_000 };
    await ask('mutation ($input: CreateHttpToolInput!) { createHttpTool(input: $input) { id } }', tool);
  }
  const agent = { name: 'looking', instructions: 'Look.', tools: Object.keys(urls), isShared: true };
  const { createAgent } = await ask(
    'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }',
    agent,
  );
  const alice = await openSocketClient(app, 'alice');
  const conversationId = await alice.createConversation({ agentId: createAgent.id });
  app.model.add({ calls: Object.keys(urls).map((name) => ({ id: name, name, arguments: {} })) }, { text: 'Sorry.' });
  const events = await alice.chatTurn('ws', { conversationId }).rest();
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  const { run } = await alice.ask(documents.run, { id: events[0]?.runId ?? '' });
  expect(run.messages).toMatchObject([{ content: 'Sorry.' }]);
  const call = (callId: string, error: string) => {
    return { callId, status: 'FAILED', error: expect.stringContaining(error) };
  };
  expect(run.toolCalls).toMatchObject([
    call('away', 'could not be reached'),
    call('hangs', 'No answer within 1 seconds.'),
    call('fails', '503'),
  ]);
  expect(received.toSorted()).toEqual(['/fails', '/hangs']);
});
