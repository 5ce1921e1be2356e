import { expect, test } from 'vitest';
import { ConversationFeed } from '../../src/log/conversation-feed.ts';
import { shareApp } from '../support/app.ts';

const document = `
  subscription ($id: ID!) {
    conversationEvents(conversationId: $id) {
      __typename
      ... on ConversationUpdated { conversation { title } }
      ... on MessageAdded { message { role status content } }
      ... on RunChanged { run { status } }
      ... on AgentSwitched { fromAgent { name } toAgent { name } reason }
    }
  }`;

const app = shareApp();

async function createConversation(): Promise<string> {
  const created = await app.query(`mutation { createConversation(input: { scenarioKey: "support" }) { id } }`);
  expect(created.errors).toEqual([]);
  return created.data.createConversation.id;
}

/** Subscribes, and waits until the reader is there. */
async function follow(id: string, token?: string) {
  const before = app.app.runs.feed.size;
  const stream = app.ws(token ?? (await app.token())).iterate<{ conversationEvents: { __typename: string } }>({
    query: document,
    variables: { id },
  });
  const first = stream.next();
  await expect.poll(() => app.app.runs.feed.size).toBe(before + 1);
  const events: unknown[] = [];
  return {
    async until(isLast: (event: { __typename: string }) => boolean) {
      for (let step = await first; !step.done; step = await stream.next()) {
        const event = step.value.data?.conversationEvents;
        if (!event) throw new Error(JSON.stringify(step.value));
        events.push(event);
        if (isLast(event)) break;
      }
      await stream.return?.(undefined);
      return events;
    },
  };
}

test('conversationEvents reports a turn that another client started: messages, runs, the active agent, the title', async () => {
  const id = await createConversation();
  app.model.add(
    { calls: [{ name: 'transfer_to_billing', arguments: { reason: 'money' } }] },
    { text: ['It', ' is', ' paid'] },
  );
  const reader = await follow(id);
  const input = { conversationId: id, content: 'Did you get my money?', idempotencyKey: 'k' };
  const sent = await app.query(`mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { status } }`, {
    input,
  });
  expect(sent.data.sendMessage.status).toBe('COMPLETED');
  const seen = await reader.until((event) => 'run' in event && JSON.stringify(event).includes('COMPLETED'));
  expect(seen).toEqual(
    expect.arrayContaining([
      { __typename: 'MessageAdded', message: { role: 'USER', status: 'COMPLETE', content: 'Did you get my money?' } },
      { __typename: 'ConversationUpdated', conversation: { title: 'Did you get my money?' } },
      {
        __typename: 'AgentSwitched',
        fromAgent: { name: 'supervisor' },
        toAgent: { name: 'billing' },
        reason: 'money',
      },
      { __typename: 'MessageAdded', message: { role: 'ASSISTANT', status: 'COMPLETE', content: 'It is paid' } },
      { __typename: 'RunChanged', run: { status: 'COMPLETED' } },
    ]),
  );
});

test('conversationEvents reports what mutations do', async () => {
  const id = await createConversation();
  const reader = await follow(id);
  await app.query(`mutation ($id: ID!) { updateConversation(id: $id, input: { title: "Renamed" }) { id } }`, { id });
  await app.query(
    `mutation ($id: ID!) { createMessage(input: { conversationId: $id, role: SYSTEM, content: "note" }) { id } }`,
    { id },
  );
  const seen = await reader.until((event) => event.__typename === 'MessageAdded');
  expect(seen).toEqual([
    { __typename: 'ConversationUpdated', conversation: { title: 'Renamed' } },
    { __typename: 'MessageAdded', message: { role: 'SYSTEM', status: 'COMPLETE', content: 'note' } },
  ]);
});

test('conversationEvents is FORBIDDEN for another user', async () => {
  const id = await createConversation();
  const stream = app.ws(await app.token({ sub: 'mallory' })).iterate({ query: document, variables: { id } });
  const { value } = await stream.next();
  expect(value?.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
});

test('A reader of conversationEvents that leaves, leaves nothing open', async () => {
  const before = app.app.runs.feed.size;
  const id = await createConversation();
  const stream = app.ws(await app.token()).iterate({ query: document, variables: { id } });
  void stream.next();
  await expect.poll(() => app.app.runs.feed.size).toBe(before + 1);
  await stream.return?.(undefined);
  await expect.poll(() => app.app.runs.feed.size).toBe(before);
});

test('A reader of conversationEvents that stops reading is told so, and costs a bounded amount', async () => {
  const feed = new ConversationFeed();
  const reader = feed.follow('c');
  for (let n = 0; n < 5_000; n++) feed.publish({ type: 'RunChanged', conversationId: 'c', runId: 'same' });
  expect(await reader.next()).toMatchObject({ value: { runId: 'same' } });
  for (let n = 0; n < 5_000; n++) feed.publish({ type: 'MessageAdded', conversationId: 'c', messageId: `${n}` });
  await expect(reader.next()).rejects.toMatchObject({ code: 'CONFLICT' });
  expect(await reader.next()).toEqual({ done: true, value: undefined });
  expect(feed.size).toBe(0);
});

test('conversationEvents ends when the conversation is deleted', async () => {
  const before = app.app.runs.feed.size;
  const id = await createConversation();
  const stream = app.ws(await app.token()).iterate({ query: document, variables: { id } });
  const next = stream.next();
  await expect.poll(() => app.app.runs.feed.size).toBe(before + 1);
  await app.query('mutation ($id: ID!) { deleteConversation(id: $id) }', { id });
  expect((await next).done).toBe(true);
  expect(app.app.runs.feed.size).toBe(before);
});
