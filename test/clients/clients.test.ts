import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  AgentsDocument,
  CancelDocument,
  ChangeSettingsDocument,
  ConversationsDocument,
  HydrateDocument,
  NewConversationDocument,
  SendDocument,
  SettingsDocument,
  TurnDocument,
  TurnEventsDocument,
} from '../generated/graphql.ts';
import { shareApp } from '../support/app.ts';
import {
  type OpenClient,
  openApollo,
  openGraphqlSse,
  openGraphqlWs,
  openUrql,
  type TestClient,
} from '../support/clients/libraries.ts';
import { Transcript } from '../support/clients/transports.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { modelCalls, scriptTurn } from '../support/scripted-model/long-turn.ts';

const clients: [string, OpenClient][] = [
  ['Apollo Client over HTTP and graphql-ws', openApollo],
  ['urql over HTTP and graphql-ws', (url, token) => openUrql(url, token, 'ws')],
  ['urql over HTTP and SSE', (url, token) => openUrql(url, token, 'sse')],
  ['graphql-ws', openGraphqlWs],
  ['graphql-sse', openGraphqlSse],
];

const app = shareApp();

// Libraries say on the console what they do not like of a document or an answer.
const complaint = vi.fn();
beforeEach(() => {
  complaint.mockClear();
  vi.spyOn(console, 'warn').mockImplementation(complaint);
  vi.spyOn(console, 'error').mockImplementation(complaint);
});
afterEach(() => {
  expect(complaint.mock.calls).toEqual([]);
});

describe.each(clients)('the client %s', (_name, open) => {
  test('A client library reads, writes, and streams a turn with a tool call and a handoff', async () => {
    const requestsBefore = app.model.requests.length;
    await using client = await openClient(open);

    const { agents, currentAgent } = await client.ask(AgentsDocument, {});
    expect(agents.edges.map(({ node }) => node.name)).toContain(currentAgent.name);
    const { chatSettings } = await client.ask(SettingsDocument, {});
    expect(chatSettings).toMatchObject({ temperature: 0.7, maxTokens: 2000 });
    const changed = await client.ask(ChangeSettingsDocument, { input: { temperature: 0.1 } });
    expect(changed.updateChatSettings).toMatchObject({ id: chatSettings.id, temperature: 0.1, maxTokens: 2000 });

    const conversationId = await createConversation(client);
    const { conversations } = await client.ask(ConversationsDocument, { first: 10 });
    expect(conversations.edges.map(({ node }) => [node.id, node.messageCount])).toEqual([[conversationId, 0]]);

    const content = 'Where is my order?';
    app.model.add(...scriptTurn(content));
    const transcript = new Transcript();
    const input = { conversationId, content, idempotencyKey: randomUUID() };
    await client.follow(TurnDocument, { input }, ({ chatTurn }) => transcript.take(chatTurn));

    expect([...transcript.types]).toEqual(
      expect.arrayContaining(['RunStarted', 'HandoffOccurred', 'ToolCallCompleted', 'TextRetracted', 'RunCompleted']),
    );
    const { conversation } = await client.ask(HydrateDocument, { id: conversationId });
    const stored = conversation?.messages.edges.map(({ node }) => node) ?? [];
    expect(stored.map(({ role, agent }) => [role, agent?.name])).toEqual([
      ['USER', undefined],
      ['ASSISTANT', 'supervisor'],
      ['ASSISTANT', 'orders'],
    ]);
    expect(transcript.texts).toEqual(new Map(stored.slice(1).map((message) => [message.id, message.content])));
    expect(conversation?.activeAgent?.name).toBe('orders');
    const { last } = transcript;
    if (last?.__typename !== 'RunCompleted') throw new Error(`The turn ended with ${last?.__typename}.`);
    expect(last.run.messages).toEqual(stored.slice(1));
    expect(last.run.usage).toMatchObject({ modelCalls, complete: false });

    // The same key, and the run by its id, give the same turn again, to whoever comes later.
    for (const after of [0, 5]) {
      const again = new Transcript();
      await client.follow(TurnEventsDocument, { runId: last.runId, after }, ({ runEvents }) => again.take(runEvents));
      expect(again.events.every(({ seq }) => seq > after)).toBe(true);
      expect(again.last).toEqual(last);
      if (after === 0) expect(again.texts).toEqual(transcript.texts);
    }
    const { sendMessage } = await client.ask(SendDocument, { input });
    expect(sendMessage.id).toBe(last.runId);
    expect(sendMessage.toolCalls).toMatchObject([
      { name: 'lookup_order', status: 'SUCCEEDED', result: { number: '1042' } },
    ]);
    expect(sendMessage.handoffs).toMatchObject([{ toAgent: { name: 'orders' }, reason: 'An order.' }]);
    expect(app.model.requests).toHaveLength(requestsBefore + modelCalls);
  });

  test('A client library leaves a turn, which goes on, and cancels one, which its stream reports', async () => {
    const gates = [createGate(), createGate()] as const;
    app.model.add(...gates.map((gate) => ({ text: ['One', ' two', ' three'], gate, afterTokens: 1 })));
    await using client = await openClient(open);
    const conversationId = await createConversation(client);

    const leaving = new AbortController();
    const left = { conversationId, content: 'Count.', idempotencyKey: randomUUID() };
    const onEvent = (type: string) => {
      if (type === 'TextDelta') leaving.abort();
    };
    await client.follow(TurnDocument, { input: left }, ({ chatTurn }) => onEvent(chatTurn.__typename), leaving.signal);
    gates[0].open();
    const { sendMessage } = await client.ask(SendDocument, { input: left });
    expect(sendMessage).toMatchObject({ status: 'COMPLETED', messages: [{ content: 'One two three' }] });

    const transcript = new Transcript();
    const cancelled = { conversationId, content: 'Count again.', idempotencyKey: randomUUID() };
    const cancelling: Promise<unknown>[] = [];
    await client.follow(TurnDocument, { input: cancelled }, ({ chatTurn }) => {
      transcript.take(chatTurn);
      if (chatTurn.__typename === 'TextDelta') cancelling.push(client.ask(CancelDocument, { id: chatTurn.runId }));
    });
    expect(await Promise.all(cancelling)).toMatchObject([{ cancelRun: { status: 'CANCELLED' } }]);
    expect(transcript.last).toMatchObject({
      __typename: 'RunCancelled',
      run: { status: 'CANCELLED', messages: [{ status: 'PARTIAL', content: 'One' }] },
    });
  });

  test('A client library gets the code of an error, and works on', async () => {
    app.model.add({ text: 'Hello.' });
    await using client = await openClient(open);
    const conversationId = await createConversation(client);
    const input = { conversationId, content: 'Hello', idempotencyKey: 'once' };
    const follow = (changes: object) => client.follow(TurnDocument, { input: { ...input, ...changes } }, () => {});

    await expect(follow({ content: '' })).rejects.toMatchObject({ codes: ['BAD_USER_INPUT'] });
    await expect(follow({ conversationId: `conv_${randomUUID()}` })).rejects.toMatchObject({ codes: ['NOT_FOUND'] });
    await follow({});
    await expect(follow({ content: 'Goodbye' })).rejects.toMatchObject({ codes: ['CONFLICT'] });
    await expect(client.ask(HydrateDocument, { id: 'conv_1' })).rejects.toMatchObject({ codes: ['BAD_USER_INPUT'] });
    await expect(client.ask(HydrateDocument, { id: conversationId })).resolves.toMatchObject({
      conversation: { messages: { totalCount: 2 } },
    });
  });
});

/** As a user of its own, with nothing there yet. */
async function openClient(open: OpenClient): Promise<TestClient> {
  return open(`${app.url}/graphql`, await app.token({ sub: randomUUID() }));
}

async function createConversation(client: TestClient): Promise<string> {
  const { createConversation } = await client.ask(NewConversationDocument, { input: { scenarioKey: 'support' } });
  return createConversation.id;
}
