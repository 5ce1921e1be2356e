import { describe, expect, test } from 'vitest';
import { exportScenario } from '../../src/scenarios/files/export.ts';
import { parseScenarioFile } from '../../src/scenarios/files/format.ts';
import { importScenarios } from '../../src/scenarios/files/import.ts';
import { shareApp } from '../support/app.ts';
import { openNewUser } from '../support/chat.ts';
import { certain, choice, openOrchestrated, reply } from './open.ts';

const app = shareApp();
const limited = shareApp({ env: { RATE_LIMIT_TURNS: '1/600' } });
const document = `mutation ($input: OrchestrateInput!) { orchestrate(input: $input) {
  rootAgent { name } switched confidence reasoning alternatives { name }
} }`;
type Chat = Awaited<ReturnType<typeof openOrchestrated>>;

const orchestrate = async (chat: Chat, input: object) => {
  const whole = { scenarioKey: 'mine', lastUserMessage: 'I want my money', ...input };
  return (await chat.ask(document, { input: whole })).orchestrate;
};
/** The code of the error, and the field that it names. */
async function refused(chat: Pick<Chat, 'token'>, input: object, at = app) {
  const whole = { scenarioKey: 'mine', lastUserMessage: 'Hi', ...input };
  const { errors } = await at.query(document, { input: whole }, { token: chat.token });
  return [errors[0]?.extensions.code, errors[0]?.extensions.path];
}

describe('orchestrate', () => {
  test('It decides, changes nothing, and its tokens count for the user', async () => {
    const chat = await openOrchestrated(app, { orchestration: { mode: 'FIRST_TURN' } });
    const said = certain('my_billing', { alternatives: ['my_orders'] });
    app.model.add(choice(said, { usage: { inputTokens: 5, outputTokens: 6 } }));
    expect(await orchestrate(chat, { conversationId: chat.conversationId })).toEqual({
      rootAgent: { name: 'my_billing' },
      switched: true,
      confidence: 0.9,
      reasoning: 'It is about my_billing.',
      alternatives: [{ name: 'my_orders' }],
    });
    expect(await chat.activeAgent()).toBe('my_desk');
    const { viewer, conversation } = await chat.ask(
      `query ($id: ID!) { viewer { usage { totalTokens modelCalls } }
        conversation(id: $id) { usage { totalTokens } messageCount } }`,
      { id: chat.conversationId },
    );
    expect(viewer.usage).toEqual({ totalTokens: 11, modelCalls: 1 });
    expect(conversation).toEqual({ usage: { totalTokens: 11 }, messageCount: 0 });
  });

  test('The classifier is told what the agent has said, and who it was', async () => {
    const chat = await openOrchestrated(app);
    app.model.add(
      choice(certain('my_orders'), {
        expect: ({ messages }) => {
          const [item] = messages;
          expect(JSON.parse(item?.role === 'user' ? item.content : '')).toEqual({
            earlier: [{ from: 'agent', text: 'What is it about.' }],
            currentAgent: 'my_orders',
            message: 'I want my money',
          });
        },
      }),
    );
    const input = { lastAgentMessage: 'What is it about.', currentAgentId: chat.ids.orders };
    expect((await orchestrate(chat, input)).switched).toBe(false);
  });

  test('The active agent of the conversation stays if the classifier fails, and its last decision can hold', async () => {
    const chat = await openOrchestrated(app);
    app.model.add(choice(certain('my_billing')), reply('Which invoice?'));
    await chat.turn('I want my money');
    const { conversationId } = chat;
    app.model.add(choice('Prose.'));
    expect(await orchestrate(chat, { conversationId })).toMatchObject({
      rootAgent: { name: 'my_billing' },
      switched: false,
      confidence: 0,
    });
    const held = { conversationId, lastUserMessage: 'Number 17', lastAgentMessage: 'Which invoice?' };
    expect(await orchestrate(chat, held)).toMatchObject({ rootAgent: { name: 'my_billing' }, confidence: 0.85 });
  });

  test('Guardrails come first: the classifier sees what is left, and nothing of what is blocked', async () => {
    const guardrails = [
      { name: 'mail', stages: ['INPUT', 'OUTPUT'], check: { pii: ['EMAIL'] }, action: 'REDACT' },
      { name: 'words', stages: ['INPUT'], check: { patterns: ['forbidden'] } },
    ];
    const chat = await openOrchestrated(app, { guardrails });
    app.model.add(
      choice(certain('my_billing'), {
        expect: ({ body }) => {
          expect(JSON.stringify(body)).not.toContain('example.com');
          expect(JSON.stringify(body).match(/\[EMAIL\]/g)).toHaveLength(2);
        },
      }),
    );
    await orchestrate(chat, { lastUserMessage: 'I am bob@example.com', lastAgentMessage: 'I am al@example.com' });
    expect(await orchestrate(chat, { lastUserMessage: 'This is forbidden' })).toEqual({
      rootAgent: { name: 'my_desk' },
      switched: true,
      confidence: 0,
      reasoning: 'The guardrail "words" stops the message: no classifier was asked.',
      alternatives: [],
    });
  });

  test('A reason of the classifier that a guardrail of answers flags is withheld, also of a guardrail that asks a model', async () => {
    const words = { name: 'words', stages: ['OUTPUT'], check: { patterns: ['hunter2'] }, mode: 'HOLD_BACK' };
    const chat = await openOrchestrated(app, { guardrails: [words] });
    app.model.add(choice(certain('my_billing', { reasoning: 'The password is hunter2.' })));
    expect(await orchestrate(chat, {})).toMatchObject({
      rootAgent: { name: 'my_billing' },
      reasoning: 'A guardrail withholds the reason of the classifier.',
    });
    const check = { classifier: { agentId: chat.ids.classifier, question: 'Is it rude?' } };
    const update = 'mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { id } }';
    const input = { guardrails: [{ name: 'rude', stages: ['OUTPUT'], check }] };
    await chat.admin.ask(update, { id: chat.ids.orders, input });
    app.model.add(choice(certain('my_orders')), reply('{"flagged": true, "confidence": 1, "reasoning": "Yes."}'));
    expect((await orchestrate(chat, {})).reasoning).toBe('A guardrail withholds the reason of the classifier.');
    const { viewer } = await chat.ask('{ viewer { usage { modelCalls } } }');
    expect(viewer.usage.modelCalls).toBe(3);
  });

  test('What is wrong is named, before a model is asked', async () => {
    const chat = await openOrchestrated(app);
    const stranger = await openOrchestrated(app);
    const neighbour = await openNewUser(app, { tenant: chat.tenant });
    const others = await neighbour.createConversation('mine');
    const before = app.model.requests.length;
    expect(await refused(chat, { lastUserMessage: '' })).toEqual(['BAD_USER_INPUT', ['input', 'lastUserMessage']]);
    expect(await refused(chat, { conversationId: 'x' })).toEqual(['BAD_USER_INPUT', ['input', 'conversationId']]);
    expect(await refused(chat, { currentAgentId: 'x' })).toEqual(['BAD_USER_INPUT', ['input', 'currentAgentId']]);
    expect(await refused(chat, { currentAgentId: chat.ids.classifier })).toEqual([
      'BAD_USER_INPUT',
      ['input', 'currentAgentId'],
    ]);
    expect((await refused(chat, { currentAgentId: stranger.ids.desk }))[0]).toBe('FORBIDDEN');
    expect((await refused(chat, { conversationId: others }))[0]).toBe('FORBIDDEN');
    expect((await refused(chat, { conversationId: stranger.conversationId }))[0]).toBe('FORBIDDEN');
    expect((await refused(chat, { scenarioKey: 'unknown' }))[0]).toBe('NOT_FOUND');
    expect(app.model.requests).toHaveLength(before);
  });

  test('It takes a point of RATE_LIMIT_TURNS, before anything is looked at', async () => {
    const user = await openNewUser(limited);
    expect((await refused(user, { scenarioKey: 'unknown' }, limited))[0]).toBe('NOT_FOUND');
    expect((await refused(user, { lastUserMessage: '' }, limited))[0]).toBe('RATE_LIMITED');
  });
});

describe('The orchestration of a scenario', () => {
  test('It is stored as given, with its defaults, and goes with an update that leaves it out', async () => {
    const chat = await openOrchestrated(app, { orchestration: { threshold: 0.25, instructions: 'Money first.' } });
    expect(chat.scenario.orchestration).toEqual({
      mode: 'EVERY_TURN',
      threshold: 0.25,
      instructions: 'Money first.',
      classifier: { name: 'my_classifier' },
    });
    const update = `mutation ($id: ID!, $input: ScenarioInput!) { updateScenario(id: $id, input: $input) {
      version orchestration { mode threshold instructions classifier { name } } } }`;
    const rootAgentId = chat.ids.desk;
    const input = { key: 'mine', name: 'Mine', rootAgentId, agents: [{ agentId: rootAgentId, handoffs: [] }] };
    const { updateScenario } = await chat.admin.ask(update, { id: chat.scenario.id, input });
    expect(updateScenario).toEqual({
      version: 2,
      orchestration: { mode: 'OFF', threshold: 0.6, instructions: null, classifier: null },
    });
  });

  test.each([
    [{ threshold: 1.1 }, 'BAD_USER_INPUT', ['input', 'orchestration', 'threshold']],
    [{ instructions: '' }, 'BAD_USER_INPUT', ['input', 'orchestration', 'instructions']],
    [{ classifierAgentId: 'x' }, 'BAD_USER_INPUT', ['input', 'orchestration', 'classifierAgentId']],
  ])('An orchestration with %j is refused', async (given, code, path) => {
    const error = await openOrchestrated(app, { orchestration: given }).catch((cause: Error) => cause.message);
    expect(JSON.parse(String(error))[0].extensions).toMatchObject({ code, path });
  });

  test('A file brings it, an export gives it back, and a change of it is a new version', async () => {
    const { tenant } = await openOrchestrated(app);
    const deps = app.app.runs.agents;
    const parse = (orchestration: object) => {
      const agents = ['one', 'two'].map((name) => ({ name, instructions: 'Hello.' }));
      const scenario = { key: 'filed', name: 'Filed', root: 'one', orchestration };
      return parseScenarioFile('filed.json', Buffer.from(JSON.stringify({ version: 1, scenario, agents })));
    };
    const load = async (orchestration: object) =>
      (await importScenarios(deps, tenant, [parse(orchestration)]))[0]?.scenario;
    const given = { mode: 'FIRST_TURN', classifier: 'two', threshold: 0.5, instructions: 'Two first.' };
    expect(await load(given)).toEqual({ change: 'created', version: 1 });
    expect(await load(given)).toEqual({ change: 'unchanged', version: 1 });
    expect((await exportScenario(tenant, deps.db, 'filed')).scenario.orchestration).toEqual(given);
    expect(await load({ mode: 'EVERY_TURN' })).toEqual({ change: 'updated', version: 2 });
    expect((await exportScenario(tenant, deps.db, 'filed')).scenario.orchestration).toEqual({
      mode: 'EVERY_TURN',
      threshold: 0.6,
    });
    expect(() => parse({ mode: 'FIRST_TURN', classifier: 'nobody' })).toThrow(
      'scenario.orchestration.classifier: names no agent of this file: "nobody"',
    );
  });

  test('Members without handoffs need orchestration: nobody reaches them otherwise', async () => {
    const error = await openOrchestrated(app, { orchestration: { mode: 'OFF' } }).catch(
      (cause: Error) => cause.message,
    );
    expect(String(error)).toContain('cannot be reached');
  });
});
