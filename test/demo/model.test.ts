import OpenAI from 'openai';
import { describe, expect, onTestFinished, test } from 'vitest';
import { demoModelName, startDemoModel } from '../../src/demo/demo.ts';
import { startModelServer } from '../../src/demo/server.ts';
import type { HistoryItem, RequestedCall, ToolSpec } from '../../src/engine/ports.ts';
import { createOpenAiModel } from '../../src/providers/llm/openai.ts';
import { type Api, collect, requestFor } from '../support/scripted-model/model-step.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';

function tool(name: string, property: string, description = name): ToolSpec {
  const parameters = { type: 'object', properties: { [property]: { type: 'string' } }, required: [property] };
  return { name, description, parameters };
}

const transfers = ['orders', 'billing', 'human_escalation'].map((agent) => tool(`transfer_to_${agent}`, 'reason'));
const lookupOrder = tool('lookup_order', 'orderNumber');
const order = { number: '1042', item: 'Teapot', status: 'shipped', total: '39.00 EUR', eta: '2 December' };

/** Fast, and still token by token. */
const pace = { delayMs: 5, firstTokenDelayMs: 0 };

async function openDemo(api: Api) {
  const demo = await startDemoModel(pace);
  onTestFinished(demo.close);
  const model = createOpenAiModel();
  return async (history: readonly HistoryItem[], tools: readonly ToolSpec[], maxTokens = 2000) => {
    const endpoint = { api, apiUrl: demo.url, apiKey: 'any', model: demoModelName };
    const request = requestFor(api, demo.url, { endpoint, history, tools, maxTokens });
    return await collect(model.stream(request, new AbortController().signal));
  };
}

const ask = (content: string): HistoryItem => ({ role: 'user', content });
const answer = (calls: readonly RequestedCall[], output: string): HistoryItem[] => [
  { role: 'assistant', content: '', calls },
  ...calls.map((call): HistoryItem => ({ role: 'tool', callId: call.id, output })),
];

describe.each<Api>(['RESPONSES', 'CHAT_COMPLETIONS'])('the demo model over %s', (api) => {
  test('The demo hands off, looks the order up and says what it found, in one turn', async () => {
    const step = await openDemo(api);
    const history = [ask('Where is my order 1042, and can I get a refund?')];

    const supervisor = await step(history, transfers);
    expect(supervisor.calls).toMatchObject([{ name: 'transfer_to_orders' }]);
    expect(JSON.parse(supervisor.calls[0]?.arguments ?? '')).toEqual({ reason: expect.any(String) });
    history.push(...answer(supervisor.calls, 'You are now the orders agent.'));

    // The orders agent may hand on to billing, and still answers itself: no ping-pong.
    const tools = [lookupOrder, tool('transfer_to_billing', 'reason')];
    const orders = await step(history, tools);
    expect(orders.calls).toMatchObject([{ name: 'lookup_order', arguments: '{"orderNumber":"1042"}' }]);
    history.push(...answer(orders.calls, JSON.stringify(order)));

    const final = await step(history, tools);
    expect(final.calls).toEqual([]);
    expect(final.text).toBe(
      "I am Switchboard's demo model, a script that stands in for a real one. " +
        'I looked up order 1042 (Teapot): it is shipped, expected 2 December, for a total of 39.00 EUR. ' +
        'About money: an unused item can be refunded within 30 days, and the refund takes five working days.',
    );
    expect(final.seen.filter((event) => event.type === 'text').length).toBeGreaterThan(10);
    const repeated = await step(history, tools);
    expect(repeated.text).toBe(final.text);
    expect(repeated.finished).toEqual(final.finished);
    expect(final.finished).toMatchObject({ usage: { outputTokens: Math.ceil(final.text.length / 4) } });
  });

  test('The demo writes JSON of the form that an agent asks for', async () => {
    const demo = await startDemoModel(pace);
    onTestFinished(demo.close);
    const properties = { city: { type: 'string' }, degrees: { type: 'number' }, sky: { enum: ['clear', 'grey'] } };
    const outputSchema = { type: 'object', properties, required: ['city'], additionalProperties: false };
    const request = requestFor(api, demo.url, { outputSchema });
    const { text } = await collect(createOpenAiModel().stream(request, new AbortController().signal));
    expect(JSON.parse(text)).toEqual({ city: expect.stringContaining('demo model'), degrees: 1, sky: 'clear' });
  });

  test.each([
    ['I want my money back, where is the invoice?', 'transfer_to_billing'],
    ['My parcel has not arrived', 'transfer_to_orders'],
    ['Let me talk to a human about order 1042', 'transfer_to_human_escalation'],
  ])('The demo reacts to a user’s words: %s', async (question, expected) => {
    const step = await openDemo(api);
    const { calls } = await step([ask(question)], transfers);
    expect(calls.map((call) => call.name)).toEqual([expected]);
  });

  const handTo = (agent: string, purpose: string) =>
    tool(`transfer_to_${agent}`, 'reason', `Hands the conversation over to ${agent}. ${purpose}`);
  const desk = [
    handTo('access', 'Passwords, accounts and permissions.'),
    handTo('hardware', 'Laptops, screens, printers and their delivery.'),
    handTo('front_desk', 'Anything else, neither a printer nor a password.'),
  ];

  test.each([
    ['Where is order 1042?', 'transfer_to_hardware'],
    ['I forgot my password', 'transfer_to_access'],
    ['The printer ate my laptop, says my account', 'transfer_to_hardware'],
    ['Let me talk to the hardware people', 'transfer_to_hardware'],
    ['What time is it on my laptop?', 'current_time'],
    ['Please hand the conversation over', undefined],
    ['Hello there, what else do they have?', undefined],
  ])('The demo hands off by what other agents are for: %s', async (question, expected) => {
    const step = await openDemo(api);
    const { calls } = await step([ask(question)], [...desk, tool('current_time', 'timeZone')]);
    expect(calls.map((call) => call.name)).toEqual(expected === undefined ? [] : [expected]);
  });

  test('The demo says so if it has an order number and no tool to look it up', async () => {
    const step = await openDemo(api);
    const asking = [ask('Where is order 1042?')];
    const { text } = await step(asking, []);
    expect(text).toContain('You ask about order 1042: the agent that I speak for has no tool to look it up');
    expect(text).not.toContain('Give me an order number');
    expect((await step([ask('Where is my order?')], [lookupOrder])).text).toContain('Give me an order number');
  });

  test('The demo calls several tools in one step and reports each', async () => {
    const step = await openDemo(api);
    const tools = [lookupOrder, tool('current_time', 'timeZone')];
    const history = [ask('What time is it in Europe/Berlin, and where is order 1043?')];
    const { calls } = await step(history, tools);
    expect(calls.map((call) => [call.name, JSON.parse(call.arguments)])).toEqual([
      ['lookup_order', { orderNumber: '1043' }],
      ['current_time', { timeZone: 'Europe/Berlin' }],
    ]);
    const final = await step([...history, ...answer(calls, '"nothing there"')], tools);
    expect(final.text).toContain('The tool lookup_order answered: "nothing there".');
    expect(final.text).toContain('The clock says: "nothing there".');
  });

  test('The demo names itself and quotes what it does not understand', async () => {
    const step = await openDemo(api);
    const { text } = await step([ask('Hello'), { role: 'assistant', content: 'Hi.', calls: [] }, ask('Sing!')], []);
    expect(text).toMatch(/^I am Switchboard's demo model/);
    expect(text).toContain('You said: "Sing!" This is turn 2 of our conversation.');
  });

  test('The demo keeps to the token limit', async () => {
    const step = await openDemo(api);
    const result = await step([ask('Hello')], [], 4);
    expect(result.text).toBe("I am Switchboard's demo");
    expect(result.finished).toMatchObject({ reason: 'length' });
  });
});

test('The demo server answers without a stream too, and lists its models', async () => {
  const demo = await startDemoModel(pace);
  onTestFinished(demo.close);
  const client = new OpenAI({ baseURL: demo.url, apiKey: 'any' });
  const messages = [{ role: 'user', content: 'Hello' } as const];
  const chat = await client.chat.completions.create({ model: demoModelName, messages });
  expect(chat.choices[0]?.message.content).toMatch(/^I am Switchboard's demo model/);
  const response = await client.responses.create({ model: demoModelName, input: 'Hello' });
  expect(response.output_text).toBe(chat.choices[0]?.message.content);
  expect((await client.models.list()).data.map((model) => model.id)).toEqual([demoModelName]);
});

test('The openai client reads both streams of the demo to the same answer', async () => {
  const demo = await startDemoModel(pace);
  onTestFinished(demo.close);
  const client = new OpenAI({ baseURL: demo.url, apiKey: 'any' });
  const chat = client.chat.completions.stream({ model: demoModelName, messages: [{ role: 'user', content: 'Hello' }] });
  const response = client.responses.stream({ model: demoModelName, input: 'Hello' });
  expect((await response.finalResponse()).output_text).toBe(await chat.finalContent());
});

test.each([
  ['no JSON', '{', 400],
  ['no messages', '{"model":"m"}', 400],
  ['a call without its output', unanswered(), 400],
])('The demo server refuses %s', async (_, body, status) => {
  await using server = await createScriptedModel();
  const response = await fetch(`${server.url}/chat/completions`, { method: 'POST', body });
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject({ error: { message: expect.any(String) } });
});

test('A scripted model fails on a request that it did not expect, and on a step that was not used', async () => {
  const model = await createScriptedModel([{ text: 'Hi.', match: (request) => request.model === 'other' }]);
  expect(model.assertDone).toThrow('1 scripted steps were not used');
  const request = requestFor('RESPONSES', model.url);
  const result = await collect(createOpenAiModel().stream(request, new AbortController().signal));
  expect(result.failure?.code).toBe('MODEL_ERROR');
  await expect(model[Symbol.asyncDispose]()).rejects.toThrow('did not expect this request');
});

test('The demo server names a port that is taken', async () => {
  const demo = await startDemoModel(pace);
  onTestFinished(demo.close);
  const port = Number(new URL(demo.url).port);
  await expect(startModelServer({ port, respond: () => ({}) })).rejects.toThrow('EADDRINUSE');
});

function unanswered(): string {
  const call = { id: 'a', type: 'function', function: { name: 'x', arguments: '{}' } };
  const messages = [
    { role: 'assistant', content: null, tool_calls: [call] },
    { role: 'user', content: 'So?' },
  ];
  return JSON.stringify({ model: 'm', messages });
}
