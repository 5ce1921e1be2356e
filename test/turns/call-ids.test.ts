import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { createScriptedModel, type ScriptedModel } from '../support/scripted-model/script.ts';

let app: TestApp;
let model: ScriptedModel;
let alice: SocketClient;

beforeAll(async () => {
  model = await createScriptedModel();
  app = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: new URL(model.url).host } });
  alice = await openSocketClient(app, 'alice');
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
});

const call = (id: string) => ({ calls: [{ id, name: 'current_time', arguments: {} }] });
/** The ids of the calls that the last request has, and of their results. */
function idsSent() {
  const messages = model.requests.at(-1)?.messages ?? [];
  const calls = messages.flatMap((item) => (item.role === 'assistant' ? item.calls.map(({ id }) => id) : []));
  expect(messages.flatMap((item) => (item.role === 'tool' ? [item.callId] : []))).toEqual(calls);
  expect(new Set(calls).size).toBe(calls.length);
  return calls;
}

describe.each(['CHAT_COMPLETIONS', 'RESPONSES'])('Ids of tool calls (%s)', (api) => {
  const createAgent = (name: string) => {
    const llm = { provider: 'custom', model: name, apiUrl: model.url, api };
    return alice.createAgent({ name: `a${crypto.randomUUID()}`, llm, tools: ['current_time'] });
  };
  const say = async (conversationId: string, agentId: string, ...steps: readonly object[]) => {
    model.add(...steps, { text: 'Done.' });
    const events = await alice.chatTurn('ws', { conversationId, agentId }).rest();
    expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
    model.assertDone();
    return events.flatMap(({ toolCall }) => (toolCall?.status === 'SUCCEEDED' ? [toolCall.callId] : []));
  };

  test('P04 P17 Each provider is sent its own ids as it wrote them, and those of others in a form that it takes', async () => {
    const [kimi, mistral, claude] = [
      await createAgent('kimi-k2'),
      await createAgent('mistral-large-latest'),
      await createAgent('claude-sonnet'),
    ];
    const conversationId = await alice.createConversation({ agentId: kimi });
    // Clients are told the ids that the provider wrote.
    expect(await say(conversationId, kimi, call('functions.current_time:0'))).toEqual(['functions.current_time:0']);
    expect(idsSent()).toEqual(['functions.current_time:0']);
    expect(await say(conversationId, mistral, call('D681PevKs'))).toEqual(['D681PevKs']);
    const [foreign, own] = idsSent();
    expect(foreign).toMatch(/^[A-Za-z0-9]{9}$/);
    expect(own).toBe('D681PevKs');
    await say(conversationId, claude, call('toolu_01A09q90qw90lq917835lq9'));
    expect(idsSent()[0]).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
    expect(idsSent().slice(1)).toEqual(['D681PevKs', 'toolu_01A09q90qw90lq917835lq9']);
    // Stable over the conversation.
    await say(conversationId, mistral);
    expect(idsSent().slice(0, 2)).toEqual([foreign, 'D681PevKs']);
    await say(conversationId, kimi);
    expect(idsSent()).toEqual(['functions.current_time:0', 'D681PevKs', 'toolu_01A09q90qw90lq917835lq9']);
  });

  test('P04c A call of Mistral without an id gets one that Mistral takes, the same in later turns', async () => {
    const mistral = await createAgent('mistral-large-latest');
    const conversationId = await alice.createConversation({ agentId: mistral });
    await say(conversationId, mistral, call(''), call(''));
    const sent = idsSent();
    expect(sent).toHaveLength(2);
    await say(conversationId, mistral);
    expect(idsSent()).toEqual(sent);
  });

  test.each(['kimi-k2', 'mistral-large-latest', 'claude-sonnet'])(
    'Ids that a provider uses again in each step and turn are told apart (%s)',
    async (name) => {
      const agentId = await createAgent(name);
      const conversationId = await alice.createConversation({ agentId });
      const told = await say(conversationId, agentId, call('call_0000'), call('call_0000'));
      told.push(...(await say(conversationId, agentId, call('call_0000'))));
      expect(new Set(told).size).toBe(3);
      expect(idsSent()).toHaveLength(3);
    },
  );

  test('Ids that imported messages repeat, or that look like replaced ones, are told apart', async () => {
    const agentId = await createAgent('claude-sonnet');
    const conversationId = await alice.createConversation({ agentId });
    const add = (ids: readonly string[]) =>
      alice.ask('mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }', {
        input: {
          conversationId,
          role: 'ASSISTANT',
          content: 'Imported.',
          toolCalls: ids.map((callId) => ({ callId, name: 'current_time', arguments: '{}', result: 1 })),
        },
      });
    await add(['a b', 'same']);
    await add(['same', 'a b']);
    await say(conversationId, agentId);
    const first = idsSent();
    expect(first).toHaveLength(4);
    await add(first);
    await say(conversationId, agentId);
    expect(idsSent().slice(0, 4)).toEqual(first);
    expect(idsSent()).toHaveLength(8);
  });
});
