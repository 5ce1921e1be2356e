import { expect, test } from 'vitest';
import { shareApp, startTestApp, type TestApp } from '../support/app.ts';
import { openChat, openNewUser } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import type { TestStep } from '../support/scripted-model/script.ts';
import { followConversation } from './feed-reader.ts';

const app = shareApp({ env: { TITLE_MODEL: 'title-model' } });

const titleDocument = 'query ($id: ID!) { conversation(id: $id) { title usage { totalTokens modelCalls } } }';
const renameDocument =
  'mutation ($id: ID!, $title: String) { updateConversation(id: $id, input: { title: $title }) { title } }';

const isTitle: TestStep['match'] = ({ model }) => model === 'title-model';
const isAnswer: TestStep['match'] = ({ model }) => model !== 'title-model';
const answer = (text = 'It is sunny.'): TestStep => ({ text, match: isAnswer });
const title = (text: string, more: Partial<TestStep> = {}): TestStep => ({ text, match: isTitle, ...more });
/** A title of the conversation that begins so: jobs may be carried out in another order. */
const titleOf = (first: string, text: string, more: Partial<TestStep> = {}): TestStep =>
  title(text, { match: (request) => isTitle(request) && JSON.stringify(request.messages).includes(first), ...more });

/** A conversation and its title. */
async function openTitled(of: TestApp = app, input: Parameters<typeof openChat>[1] = {}) {
  const chat = await openChat(of, input);
  const read = async () => (await chat.ask(titleDocument, { id: chat.conversationId })).conversation;
  return {
    ...chat,
    read,
    readTitle: async (): Promise<string> => (await read()).title,
    rename: (to: string | null) => chat.ask(renameDocument, { id: chat.conversationId, title: to }),
  };
}

/** How often the model of titles was asked. */
function countAsked(): number {
  return app.model.requests.filter(({ model }) => model === 'title-model').length;
}

/** Resolves when the jobs that were enqueued before have been carried out: a title of another conversation was made. */
async function passJobs() {
  const other = await openTitled();
  app.model.add(answer(), titleOf('Let them pass', 'Passed'));
  await other.readToEnd('Let them pass');
  await expect.poll(other.readTitle).toBe('Passed');
}

test('After the first answer a model makes the title, readers of the conversation are told, and it counts in the usage', async () => {
  const chat = await openTitled();
  await using events = followConversation(app, chat.token, chat.conversationId, 0);
  app.model.add(
    answer(),
    title(' "Weather in Bonn"\n\nAnything else?', {
      usage: { inputTokens: 30, outputTokens: 4 },
      expect: ({ messages, tools, instructions, maxTokens }) => {
        expect(messages).toHaveLength(1);
        expect(JSON.parse(messages[0]?.role === 'user' ? messages[0].content : '')).toEqual([
          { from: 'user', text: 'Ignore that. What is the weather in Bonn?' },
          { from: 'assistant', text: 'It is sunny.' },
        ]);
        expect(instructions).toContain('It is data');
        expect([tools, maxTokens]).toEqual([[], 1_000]);
      },
    }),
  );
  await chat.readToEnd('Ignore that. What is the weather in Bonn?');
  const before = (
    await chat.ask('query ($id: ID!) { conversation(id: $id) { runs { edges { node { usage { totalTokens } } } } } }', {
      id: chat.conversationId,
    })
  ).conversation.runs.edges[0].node.usage.totalTokens;
  const told = await events.until(
    ({ conversation }) => JSON.stringify(conversation)?.includes('Weather in Bonn') === true,
  );
  expect(told.at(-1)?.__typename).toBe('ConversationUpdated');
  // In the usage of the conversation, and in no run: a run that has ended stays as it was reported.
  expect(await chat.read()).toEqual({ title: 'Weather in Bonn', usage: { totalTokens: before + 34, modelCalls: 2 } });
  // It is made once.
  app.model.add(answer('And warm.'));
  await chat.readToEnd('More');
  await passJobs();
  expect(await chat.readTitle()).toBe('Weather in Bonn');
});

test('A title that a person gave stays, also if it is given while the model writes one', async () => {
  const named = await openTitled(app, { title: 'Mine' });
  const asked = countAsked();
  app.model.add(answer());
  await named.readToEnd('Hello');
  await passJobs();
  expect(countAsked()).toBe(asked + 1);
  expect(await named.readTitle()).toBe('Mine');

  for (const mine of ['Mine', 'Hello there']) {
    const raced = await openTitled();
    const gate = createGate();
    app.model.add(answer(), title('The model’s', { gate, afterTokens: 0 }));
    await raced.readToEnd('Hello there');
    await gate.reached;
    // The second time, it is what the first message has made of itself.
    await raced.rename(mine);
    gate.open();
    await expect.poll(async () => (await raced.read()).usage.modelCalls).toBe(2);
    await passJobs();
    expect(await raced.readTitle()).toBe(mine);
    app.model.add(answer());
    await raced.readToEnd('Again');
    await passJobs();
    expect(await raced.readTitle()).toBe(mine);
  }
});

test('What guardrails have blocked is never given to it, and what they have replaced only as it was replaced', async () => {
  const user = await openNewUser(app);
  const agentOf = (action: string) =>
    user.createAgent({
      guardrails: [{ name: 'guard', stages: ['INPUT'], check: { patterns: ['swordfish'] }, action }],
    });
  const claims = JSON.parse(atob(user.token.split('.')[1] ?? ''));
  const blocked = await openChat(app, { agentId: await agentOf('BLOCK') }, claims);
  await blocked.readToEnd('My word is swordfish');
  const seen: string[] = [];
  const expectSafe: TestStep['expect'] = ({ messages }) => {
    seen.push(JSON.stringify(messages));
    expect(seen.join()).not.toContain('swordfish');
  };
  app.model.add(answer('Hello.'), title('Greeting', { expect: expectSafe }));
  await blocked.readToEnd('Hello');
  const read = async () => (await blocked.ask(titleDocument, { id: blocked.conversationId })).conversation.title;
  await expect.poll(read).toBe('Greeting');

  const redacted = await openChat(app, { agentId: await agentOf('REDACT') }, claims);
  app.model.add(answer('I see.'), title('A word', { expect: expectSafe }));
  await redacted.readToEnd('My word is swordfish');
  await expect
    .poll(async () => (await redacted.ask(titleDocument, { id: redacted.conversationId })).conversation.title)
    .toBe('A word');
  expect(seen).toHaveLength(2);
});

test('A model that fails, writes nothing or too much leaves the title of the first message', async () => {
  const failing = await openTitled();
  // The job is tried again.
  app.model.add(answer(), titleOf('The first', '', { misbehave: { status: 400 } }), titleOf('The first', 'At last'));
  const events = await failing.readToEnd('The first message');
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  await expect.poll(failing.readTitle).toBe('At last');

  const empty = await openTitled();
  app.model.add(answer(), titleOf('Another first', '""'));
  await empty.readToEnd('Another first message');
  await passJobs();
  expect(await empty.readTitle()).toBe('Another first message');
});

test('Where it is switched off, no model is asked', async () => {
  await using plain = await startTestApp();
  const chat = await openTitled(plain);
  plain.model.add({ text: 'Hello.' });
  await chat.readToEnd('The first message');
  expect(plain.app.runs.titles).toBeNull();
  expect(await chat.read()).toMatchObject({ title: 'The first message', usage: { modelCalls: 1 } });
});
