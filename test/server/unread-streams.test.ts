import { once } from 'node:events';
import { type IncomingMessage, request as sendRequest } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { documents, openChat } from '../support/chat.ts';

const megabyte = 1024 * 1024;
const piece = 'long '.repeat(8_000);

/** A subscription that repeats each text so many times. */
const subscription = (copies: number) =>
  `subscription ($runId: ID!) { runEvents(runId: $runId) { seq ... on TextDelta { ${Array.from(
    { length: copies },
    (_none, index) => `text${index}: delta`,
  ).join(' ')} } } }`;

/** A user of a tenant, with a run that has ended. */
async function openRun(app: TestApp, tenant: string, pieces: number) {
  const chat = await openChat(app, undefined, { tenant });
  app.model.add({ text: Array.from({ length: pieces }, () => piece) });
  const input = { conversationId: chat.conversationId, content: 'Go', idempotencyKey: 'k' };
  const { sendMessage } = await chat.ask(documents.sendMessage, { input });
  return { ...chat, runId: sendMessage.id };
}

async function openStream(app: TestApp, token: string, query: string, runId: string): Promise<IncomingMessage> {
  const request = sendRequest(`${app.url}/graphql`, {
    method: 'POST',
    agent: false,
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${token}`,
    },
  });
  request.on('error', () => {});
  onTestFinished(() => void request.destroy());
  request.end(JSON.stringify({ query, variables: { runId } }));
  const [response]: IncomingMessage[] = await once(request, 'response');
  if (!response) throw new Error('There is no response.');
  return response.on('error', () => {});
}

test('Hundreds of large streams that nobody reads fill no memory, those beyond the bound are refused, and another tenant is served meanwhile', async () => {
  await using app = await startTestApp({ env: { OPERATIONS_PER_USER: '200' } });
  const mallory = await openRun(app, 'mallory', 40);
  const victim = await openChat(app, undefined, { tenant: 'victim' });
  const before = process.memoryUsage.rss();
  // 40 MB each, unread.
  const opening = Array.from({ length: 250 }, async () => {
    const response = await openStream(app, mallory.token, subscription(25), mallory.runId);
    response.pause();
    return response.statusCode;
  });
  app.model.add({ text: 'Hello.' });
  const events = await victim.readToEnd('Hello');
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  const statuses = await Promise.all(opening);
  expect(statuses.filter((status) => status === 429)).toHaveLength(50);
  for (let asked = 0; asked < 20; asked += 1) {
    const { errors } = await app.query('{ conversations(first: 5) { edges { node { id } } } }', {}, victim);
    expect(errors).toEqual([]);
  }
  expect((process.memoryUsage.rss() - before) / megabyte).toBeLessThan(600);
}, 120_000);

test('Aliases make no event of a stream larger than an answer may be, and the stream is whole without them', async () => {
  await using app = await startTestApp({ env: { MAX_ANSWER_BYTES: '200000' } });
  const { token, runId } = await openRun(app, 'acme', 3);
  const readAll = async (copies: number) => {
    let text = '';
    for await (const chunk of await openStream(app, token, subscription(copies), runId)) text += String(chunk);
    return text;
  };
  const repeated = await readAll(30);
  expect(repeated).toContain('QUERY_TOO_COMPLEX');
  expect(repeated.length).toBeLessThan(1_000_000);
  const whole = await readAll(1);
  expect(whole).not.toContain('errors');
  expect(whole.length).toBeGreaterThan(3 * piece.length);
});
