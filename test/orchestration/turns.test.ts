import { describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { documents } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { certain, choice, isRouting, openOrchestrated, reply } from './open.ts';

/** Whether a test runs on an instance that speaks this API. */
const apis = [
  ['responses', shareApp({ env: { MODEL_API: 'responses' } })],
  ['chat_completions', shareApp({ env: { MODEL_API: 'chat_completions' } })],
] as const;
const [[, app]] = apis;

describe.each(apis)('Over the API %s', (api, app) => {
  test('A classifier chooses who answers, and its decision is stored, streamed and counted', async () => {
    const chat = await openOrchestrated(app, { orchestration: { instructions: 'Money first.' } });
    app.model.add(
      choice(certain('my_billing', { alternatives: ['my_orders', 'nobody', 'my_billing'] }), {
        expect: ({ body, instructions, messages, tools }) => {
          const format = api === 'responses' ? 'text' : 'response_format';
          expect(body).toHaveProperty(format);
          const sent = JSON.stringify(body);
          expect(sent).toContain('"enum":["my_desk","my_billing","my_orders"]');
          expect(sent).toContain('"strict":true');
          expect(instructions).toContain('You are classifier.');
          expect(instructions).toContain('Money first.');
          expect(instructions).toContain('"description":"Is for billing."');
          expect(tools).toEqual([]);
          expect(messages).toEqual([
            { role: 'user', content: JSON.stringify({ earlier: [], currentAgent: null, message: 'I want my money' }) },
          ]);
        },
        usage: { inputTokens: 10, outputTokens: 5 },
      }),
      reply('Here it is.', {
        expect: ({ instructions }) => expect(instructions).toContain('You are billing.'),
        usage: { inputTokens: 20, outputTokens: 7 },
      }),
    );
    const { events, types, run, runId } = await chat.turn('I want my money');
    expect(types.slice(0, 3)).toEqual(['RunStarted', 'RoutingDecided', 'MessageStarted']);
    expect(events[1]?.decision).toEqual({
      rootAgent: { name: 'my_billing' },
      selectedAgents: [{ name: 'my_billing' }],
    });
    const decided = { rootAgent: { name: 'my_billing' }, confidence: 0.9, reasoning: 'It is about my_billing.' };
    expect(run).toMatchObject({
      status: 'COMPLETED',
      agent: { name: 'my_billing' },
      messages: [{ content: 'Here it is.', agent: { name: 'my_billing' } }],
      routingDecision: { ...decided, selectedTools: [], alternatives: ['my_orders'] },
      userMessage: { routingDecision: decided },
      usage: { modelCalls: 2, totalTokens: 42, complete: true },
      handoffs: [],
    });
    expect(await chat.activeAgent()).toBe('my_billing');

    // Whoever attaches after any event gets exactly the rest.
    for (const { seq } of events) {
      const rest = await chat.runEvents('sse', runId, seq).rest();
      expect(rest.map(({ __typename }) => __typename)).toEqual(types.slice(seq));
    }
  });

  test('The next turn tells the classifier who has answered and what was said', async () => {
    const chat = await openOrchestrated(app);
    app.model.add(choice(certain('my_billing')), reply('Which invoice do you mean. '), choice(certain('my_orders')));
    app.model.add(reply('It is on its way.'));
    await chat.turn('I want my money');
    const { run } = await chat.turn('And where is my parcel?');
    expect(run.messages).toMatchObject([{ agent: { name: 'my_orders' } }]);
    const asked = app.model.requests.filter(isRouting).at(-1)?.messages.at(-1);
    expect(JSON.parse(asked?.role === 'user' ? asked.content : '')).toEqual({
      earlier: [
        { from: 'user', text: 'I want my money' },
        { from: 'agent', text: 'Which invoice do you mean. ' },
      ],
      currentAgent: 'my_billing',
      message: 'And where is my parcel?',
    });
  });
});

describe('When a classifier is asked', () => {
  test('FIRST_TURN asks once in a conversation, and the chosen agent stays', async () => {
    const chat = await openOrchestrated(app, { orchestration: { mode: 'FIRST_TURN' } });
    app.model.add(choice(certain('my_billing')), reply('Yes.'), reply('No.'));
    await chat.turn('I want my money');
    const { run, types } = await chat.turn('And where is my parcel?');
    expect(types.slice(0, 2)).toEqual(['RunStarted', 'RoutingDecided']);
    expect(run).toMatchObject({ agent: { name: 'my_billing' }, usage: { modelCalls: 1 } });
    expect(run.routingDecision).toMatchObject({ confidence: 1, reasoning: 'The agent was already the active agent.' });
  });

  test('A turn that waited in the queue is routed when it begins', async () => {
    const chat = await openOrchestrated(app);
    const gate = createGate();
    app.model.add(choice(certain('my_billing')), reply('One.', { gate, afterTokens: 0 }));
    app.model.add(choice(certain('my_orders')), reply('Two.'));
    const first = chat.say('I want my money');
    await first.until('RoutingDecided');
    const second = chat.say('Where is my parcel', { ifBusy: 'ENQUEUE' });
    await second.until('RunQueued');
    await gate.reached;
    gate.open();
    await first.rest();
    const types = (await second.rest()).map(({ __typename }) => __typename);
    expect(types.slice(0, 4)).toEqual(['RunQueued', 'RunStarted', 'RoutingDecided', 'MessageStarted']);
    expect(await chat.activeAgent()).toBe('my_orders');
  });

  test('A short reply to a question of the agent needs no classifier, until the decision has faded', async () => {
    const chat = await openOrchestrated(app);
    app.model.add(choice(certain('my_billing', { confidence: 0.66 })), reply('Which invoice?'), reply('Paid?'));
    await chat.turn('I want my money');
    const { run } = await chat.turn('Number 17');
    expect(run).toMatchObject({ agent: { name: 'my_billing' }, usage: { modelCalls: 1 } });
    expect(run.routingDecision).toMatchObject({ confidence: 0.61, alternatives: [] });
    expect(run.routingDecision.reasoning).toMatch(/^The last decision still holds/);
    // 0.56 is below the threshold of 0.6.
    app.model.add(choice(certain('my_billing')), reply('Thanks.'));
    expect((await chat.turn('Yes')).run.usage.modelCalls).toBe(2);
  });

  test('A question, a long message, or one that answers no question is classified', async () => {
    const chat = await openOrchestrated(app);
    app.model.add(choice(certain('my_billing')), reply('Which invoice?'));
    await chat.turn('I want my money');
    for (const text of ['Where is it?', 'I do not know which one it is, but I was charged twice']) {
      app.model.add(choice(certain('my_billing')), reply('Which invoice?'));
      expect((await chat.turn(text)).run.usage.modelCalls).toBe(2);
    }
    app.model.add(choice(certain('my_billing')), reply('I see.'), choice(certain('my_orders')), reply('Here.'));
    await chat.turn('Who knows?');
    expect((await chat.turn('My parcel')).run.agent.name).toBe('my_orders');
  });

  test('A turn that names its agent, and a scenario with one usable agent, need no classifier', async () => {
    const chat = await openOrchestrated(app);
    app.model.add(reply('Yes.'));
    expect((await chat.turn('Hello', { agentId: chat.ids.orders })).run).toMatchObject({
      agent: { name: 'my_orders' },
      usage: { modelCalls: 1 },
    });
    const alone = await openOrchestrated(app, { agents: { billing: {}, orders: {} } });
    for (const name of ['billing', 'orders']) {
      const document = 'mutation ($id: ID!) { updateAgent(id: $id, input: { isActive: false }) { id } }';
      await alone.admin.ask(document, { id: alone.ids[name] });
    }
    app.model.add(reply('Yes.'));
    expect((await alone.turn('Hello')).run).toMatchObject({ agent: { name: 'my_desk' }, usage: { modelCalls: 1 } });
  });
});

test('A switch reaches everybody who reads the conversation, with its reason', async () => {
  const chat = await openOrchestrated(app);
  app.model.add(choice(certain('my_billing')), reply('Yes.'));
  await chat.turn('I want my money');
  const query = `subscription ($id: ID!) { conversationEvents(conversationId: $id) { __typename
    ... on AgentSwitched { fromAgent { name } toAgent { name } reason conversation { activeAgent { name } } } } }`;
  const readers = ['one', 'two'].map(() =>
    app.ws(chat.token).iterate({ query, variables: { id: chat.conversationId } }),
  );
  const switches = readers.map(async (reader) => {
    for await (const { data } of reader) {
      const event = data?.conversationEvents;
      if (JSON.stringify(event).includes('"AgentSwitched"')) return event;
    }
    return null;
  });
  // Subscriptions begin with what happens after them.
  await chat.ask('{ viewer { userId } }');
  await new Promise((resolve) => setTimeout(resolve, 300));
  app.model.add(choice(certain('my_orders', { reasoning: 'A parcel is meant.' })), reply('Here.'));
  await chat.turn('Where is my parcel now?');
  const expected = {
    __typename: 'AgentSwitched',
    fromAgent: { name: 'my_billing' },
    toAgent: { name: 'my_orders' },
    reason: 'A parcel is meant.',
    conversation: { activeAgent: { name: 'my_orders' } },
  };
  expect(await Promise.all(switches)).toEqual([expected, expected]);
});

test('The decision has an event of its own, so that a cache that was shown the run and the message before is right', async () => {
  const chat = await openOrchestrated(app);
  const query = `subscription ($id: ID!, $after: Int!) { conversationEvents(conversationId: $id, after: $after) {
    __typename seq ... on RunChanged { run { routingDecision { confidence } userMessage { routingDecision { confidence } } } } } }`;
  const { viewer } = await chat.ask('{ viewer { lastEventSeq } }');
  const variables = { id: chat.conversationId, after: viewer.lastEventSeq };
  const stream = app.ws(chat.token).iterate({ query, variables });
  const untilRun = async (expected: object) => {
    for (let step = await stream.next(); !step.done; step = await stream.next()) {
      const event = JSON.stringify(step.value.data?.conversationEvents);
      if (event.includes(`"run":${JSON.stringify(expected)}`)) return;
    }
    throw new Error('The stream ended early.');
  };
  const [choosing, answering] = [createGate(), createGate()];
  app.model.add(choice(certain('my_desk'), { gate: choosing, afterTokens: 0 }));
  app.model.add(reply('Yes.', { gate: answering, afterTokens: 0 }));
  const reader = chat.say('Hello there');
  await choosing.reached;
  await untilRun({ routingDecision: null, userMessage: { routingDecision: null } });
  choosing.open();
  const routingDecision = { confidence: 0.9 };
  await untilRun({ routingDecision, userMessage: { routingDecision } });
  answering.open();
  await stream.return?.();
  await reader.rest();
});

test('A turn that is cancelled while the classifier is asked ends, and moves nobody', async () => {
  const chat = await openOrchestrated(app);
  const before = app.model.requests.length;
  app.model.add(choice('', { misbehave: 'hang-before-headers' }));
  const reader = chat.say('I want my money');
  const { runId } = await reader.until('RunStarted');
  await app.model.received(before + 1);
  await chat.ask(documents.cancelRun, { id: runId });
  expect((await reader.rest()).map(({ __typename }) => __typename)).toEqual(['RunStarted', 'RunCancelled']);
  expect(await chat.readRun(runId)).toMatchObject({ status: 'CANCELLED', routingDecision: null, messages: [] });
  expect(await chat.activeAgent()).toBe('my_desk');
  app.model.add(choice(certain('my_billing')), reply('Yes.'));
  expect((await chat.turn('I want my money')).run.agent.name).toBe('my_billing');
});

test('What the classifier is sent is bounded', async () => {
  const chat = await openOrchestrated(app);
  for (let turn = 0; turn < 8; turn++) {
    app.model.add(choice(certain('my_billing')), reply(`Answer ${turn} ${'a'.repeat(3_000)}`));
    await chat.turn(`Message ${turn} ${'m'.repeat(3_000)}`);
  }
  app.model.add(
    choice(certain('my_billing'), {
      expect: ({ messages, maxTokens }) => {
        const [item] = messages;
        const sent = JSON.parse(item?.role === 'user' ? item.content : '');
        expect(sent.earlier).toHaveLength(10);
        expect(sent.earlier.at(-1).text).toMatch(/^Answer 7 a+$/);
        expect(sent.earlier.every(({ text }: { text: string }) => text.length <= 1_000)).toBe(true);
        expect(sent.message).toHaveLength(8_000);
        expect(maxTokens).toBe(2_000);
      },
    }),
    reply('Yes.'),
  );
  await chat.turn('x'.repeat(20_000));
});
