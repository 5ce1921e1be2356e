import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseId } from '../../src/api/ids.ts';
import { answerModeration } from '../../src/demo/moderation.ts';
import { parseTurnInput } from '../../src/runs/input.ts';
import { shareApp } from '../support/app.ts';
import { documents, openChat, openNewUser } from '../support/chat.ts';
import { dumpDatabase } from '../support/database/dump.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const app = shareApp();
type Input = Readonly<Record<string, unknown>>;
const guardrail = (over: Input): Input => ({ name: 'guard', stages: ['INPUT'], check: { moderation: {} }, ...over });
const forbidden = { check: { patterns: ['(?i)forbidden'] } };

async function openGuarded(guardrails: readonly Input[]) {
  const user = await openNewUser(app);
  const agentId = await user.createAgent({ guardrails });
  return openChat(app, { agentId }, { sub: JSON.parse(atob(user.token.split('.')[1] ?? '')).sub });
}
type Chat = Awaited<ReturnType<typeof openGuarded>>;

const conversationFields = `query ($id: ID!) { conversation(id: $id) {
  title lastMessage { preview status } messages { edges { node { content status preview
    guardrailResults { guardrail stage tripwireTriggered decision { action } } } } } } }`;
const readConversation = async (chat: Chat) =>
  (await chat.ask(conversationFields, { id: chat.conversationId })).conversation;
const readRun = async (chat: Chat, id: string | undefined) =>
  (await chat.ask('query ($id: ID!) { run(id: $id) { status error { code } userMessage { content status } } }', { id }))
    .run;

/** Counts what the Moderations API is asked from now on. */
function countQuestions() {
  const count = { asked: 0 };
  app.model.moderateWith((...request) => {
    count.asked += 1;
    return answerModeration(...request);
  });
  return count;
}

/** Says something that works, and expects what the model is given of the past. */
async function expectHistory(chat: Chat, content: string, history: readonly string[]) {
  app.model.add({
    text: 'Fine.',
    expect: ({ messages }) =>
      expect(messages.map((each) => ('content' in each ? each.content : each.output)).join('\n')).toBe(
        [...history, content].join('\n'),
      ),
  });
  await chat.readToEnd(content);
}

test('Of messages that join a run and are redacted, each call is answered from its own event on', async () => {
  const user = await openNewUser(app);
  const agentId = await user.createAgent({
    guardrails: [guardrail({ ...forbidden, action: 'REDACT' })],
    tools: ['current_time'],
  });
  const conversationId = await user.createConversation({ agentId });
  const say = (content: string) => user.chatTurn('ws', { conversationId, content, ifBusy: 'STEER' }).rest();
  const gate = createGate();
  app.model.add(
    { text: ['Let me', ' look.'], afterTokens: 1, gate, calls: [{ name: 'current_time', arguments: {} }] },
    { text: 'That it is.' },
  );
  const first = user.chatTurn('ws', { conversationId, content: 'Hi' });
  await first.untilText('Let me');
  const where = { conversationId: conversationId.replace('conv_', ''), status: 'QUEUED' } as const;
  const following = [];
  for (const [index, content] of ['forbidden one', 'forbidden two', 'three'].entries()) {
    following.push(say(content));
    await expect.poll(() => app.app.db.run.count({ where })).toBe(index + 1);
  }
  gate.open();
  const contents = ['[REDACTED] one', '[REDACTED] two', 'three'];
  for (const [index, events] of (await Promise.all(following)).entries()) {
    expect(events[0]).toMatchObject({ __typename: 'MessageSteered', message: { content: contents[index] } });
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
  }
  expect((await first.rest()).filter(({ __typename }) => __typename === 'GuardrailTripped')).toHaveLength(2);
});

describe('A text that a provider redacts', () => {
  test('A text that a provider redacts is stored nowhere as it was, nor as a hash that can be tried', async () => {
    const secret = `attack ${randomUUID()}`;
    const chat = await openGuarded([guardrail({ action: 'REDACT' })]);
    const { conversationId } = chat;
    const input = { conversationId, content: secret, idempotencyKey: randomUUID() };
    app.model.add({ text: 'Yes.' });
    const count = countQuestions();
    const first = await chat.ask(documents.sendMessage, { input });
    // The same request attaches to the same turn, and another one with its key is refused, without asking again.
    expect((await chat.ask(documents.sendMessage, { input })).sendMessage.id).toBe(first.sendMessage.id);
    const other = await app.query(
      documents.sendMessage,
      { input: { ...input, content: 'Another' } },
      { token: chat.token },
    );
    expect(other.errors[0]?.extensions.code).toBe('CONFLICT');
    expect(count.asked).toBe(1);
    const { title, messages } = await readConversation(chat);
    expect(title).toBe('[REDACTED]');
    expect(messages.edges[0]?.node).toMatchObject({ content: '[REDACTED]', status: 'REDACTED' });
    const dump = await dumpDatabase(app.app.runs);
    expect(dump).not.toContain(secret);
    expect(dump).not.toContain(parseTurnInput(input).payloadHash);
    expect(JSON.stringify(app.logs)).not.toContain(secret);
  });
});

describe('A text that is blocked', () => {
  test('A text that is blocked is for its author only: no title, preview, later turn or hash holds it', async () => {
    const chat = await openGuarded([guardrail(forbidden)]);
    const events = await chat.readToEnd('This is forbidden');
    expect(await readRun(chat, events[0]?.runId)).toEqual({
      status: 'FAILED',
      error: { code: 'GUARDRAIL_TRIPPED' },
      userMessage: { content: 'This is forbidden', status: 'BLOCKED' },
    });
    const { title, lastMessage, messages } = await readConversation(chat);
    expect(title).toBe('New conversation');
    expect(lastMessage).toEqual({ preview: '[BLOCKED]', status: 'BLOCKED' });
    expect(messages.edges[0]?.node.guardrailResults).toEqual([
      { guardrail: 'guard', stage: 'INPUT', tripwireTriggered: true, decision: { action: 'BLOCK' } },
    ]);
    await expectHistory(chat, 'Good day', []);
    expect((await readConversation(chat)).title).toBe('Good day');
  });

  test('A text that is blocked beside the model loses its title again', async () => {
    const chat = await openGuarded([guardrail({ mode: 'PARALLEL' })]);
    const asked = Promise.withResolvers<void>();
    app.model.moderateWith(async (...request) => {
      await asked.promise;
      await answerModeration(...request);
    });
    app.model.add({ text: ['One ', 'two'], afterTokens: 1, gate: new Promise<void>(() => {}) });
    const reader = chat.say('How to attack?');
    await reader.until('TextDelta');
    asked.resolve();
    await reader.rest();
    app.model.moderateWith(answerModeration);
    const { title, messages } = await readConversation(chat);
    expect(title).toBe('New conversation');
    expect(messages.edges[0]?.node.status).toBe('BLOCKED');
    await expectHistory(chat, 'Good day', []);
  });

  test('A turn that is cancelled while its text is checked beside the model ends by what the check says', async () => {
    for (const [content, isFlagged] of [
      ['How to attack?', true],
      ['Good day', false],
    ] as const) {
      const chat = await openGuarded([guardrail({ mode: 'PARALLEL' })]);
      const asked = Promise.withResolvers<void>();
      app.model.moderateWith(async (...request) => {
        await asked.promise;
        await answerModeration(...request);
      });
      app.model.add({ text: ['One ', 'two'], afterTokens: 1, gate: new Promise<void>(() => {}) });
      const reader = chat.say(content);
      const started = await reader.until('TextDelta');
      const cancelled = chat.ask(documents.cancelRun, { id: started.runId });
      asked.resolve();
      await cancelled;
      const rest = await reader.rest();
      app.model.moderateWith(answerModeration);
      expect(rest.at(-1)?.__typename).toBe(isFlagged ? 'RunFailed' : 'RunCancelled');
      expect(rest.some(({ __typename }) => __typename === 'TextRetracted')).toBe(isFlagged);
      await expectHistory(chat, 'And now?', isFlagged ? [] : [content, 'One ']);
    }
  });
});

test('The text of a turn that waits, and is cancelled before it begins, was checked: later turns see what is left', async () => {
  const chat = await openGuarded([
    guardrail({ name: 'mail', check: { pii: ['EMAIL'] }, action: 'REDACT' }),
    guardrail(forbidden),
  ]);
  const gate = Promise.withResolvers<void>();
  app.model.add({ text: ['One ', 'two'], afterTokens: 1, gate: gate.promise });
  const first = chat.say('Hello');
  await first.until('TextDelta');
  const { conversationId } = chat;
  const enqueue = async (content: string) => {
    const input = { conversationId, content, idempotencyKey: randomUUID(), ifBusy: 'ENQUEUE' };
    return (await chat.ask(documents.startRun, { input })).startRun.id;
  };
  const waiting = [await enqueue('I am bob@example.com'), await enqueue('This is forbidden')];
  for (const id of waiting) await chat.ask(documents.cancelRun, { id });
  gate.resolve();
  await first.rest();
  expect((await readRun(chat, waiting[0])).userMessage).toEqual({ content: 'I am [EMAIL]', status: 'REDACTED' });
  expect((await readRun(chat, waiting[1])).userMessage.status).toBe('BLOCKED');
  const results = await chat.ask('query ($id: ID!) { run(id: $id) { guardrailResults { guardrail } } }', {
    id: waiting[1],
  });
  expect(results.run.guardrailResults).toContainEqual({ guardrail: 'guard' });
  await expectHistory(chat, 'And now?', ['Hello', 'One two', 'I am [EMAIL]\n']);
});

test('The text of a turn that waited is reported when it begins, and is not checked a second time', async () => {
  const chat = await openGuarded([guardrail({})]);
  const gate = Promise.withResolvers<void>();
  const count = countQuestions();
  app.model.add({ text: ['One ', 'two'], afterTokens: 1, gate: gate.promise }, { text: 'Three' });
  const first = chat.say('Hello');
  await first.until('TextDelta');
  const second = chat.say('Good day', { ifBusy: 'ENQUEUE' });
  const [queued] = [await second.until('RunQueued')];
  expect(count.asked).toBe(2);
  gate.resolve();
  expect((await second.rest()).at(-1)?.__typename).toBe('RunCompleted');
  await first.rest();
  expect(count.asked).toBe(2);
  const rows = await app.app.runs.db.guardrailResult.findMany({ where: { runId: parseId('Run', queued.runId, []) } });
  expect(rows).toHaveLength(1);
});

describe('Messages that createMessage adds', () => {
  const create = 'mutation ($input: CreateMessageInput!) { createMessage(input: $input) { content status } }';

  test.each(['USER', 'ASSISTANT', 'SYSTEM'])('A %s message is checked before it is stored', async (role) => {
    const address = `bob.${randomUUID().slice(0, 8)}@example.com`;
    const chat = await openGuarded([
      guardrail({ name: 'mail', check: { pii: ['EMAIL'] }, action: 'REDACT' }),
      guardrail(forbidden),
    ]);
    const { conversationId } = chat;
    const add = async (more: Input) => {
      const input = { conversationId, role, idempotencyKey: randomUUID(), ...more };
      const { createMessage } = await chat.ask(create, { input });
      expect((await chat.ask(create, { input })).createMessage).toEqual(createMessage);
      return createMessage;
    };
    const toolCalls =
      role === 'ASSISTANT'
        ? [
            {
              callId: 'c',
              name: 'n',
              arguments: `{"to":"${address.replace('@', '\\u0040')}"}`,
              result: { of: address },
            },
          ]
        : [];
    const attachments = [
      { name: `${address}.txt`, type: 'text/plain', url: `https://example.com/${address}`, size: 1 },
    ];
    expect(await add({ content: `I am ${address}`, attachments, toolCalls })).toEqual({
      content: 'I am [EMAIL]',
      status: 'REDACTED',
    });
    expect(await add({ content: 'This is forbidden' })).toEqual({ content: 'This is forbidden', status: 'BLOCKED' });
    const { messages } = await readConversation(chat);
    expect(messages.edges[1]?.node).toMatchObject({
      preview: '[BLOCKED]',
      guardrailResults: [{ guardrail: 'guard', tripwireTriggered: true, decision: { action: 'BLOCK' } }],
    });
    expect(await dumpDatabase(app.app.runs)).not.toContain(address);
    app.model.add({
      text: 'Fine.',
      expect: ({ body }) => {
        expect(JSON.stringify(body)).toContain('I am [EMAIL]');
        expect(JSON.stringify(body)).not.toContain('forbidden');
        expect(JSON.stringify(body)).not.toContain(address);
      },
    });
    await chat.readToEnd('And now?');
  });
});
