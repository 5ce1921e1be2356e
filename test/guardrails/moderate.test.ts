import { describe, expect, test } from 'vitest';
import { parseId } from '../../src/api/ids.ts';
import { checkTexts, findGuardrails } from '../../src/guardrails/moderate/check-texts.ts';
import { shareApp } from '../support/app.ts';
import { openNewUser } from '../support/chat.ts';

const app = shareApp();

const moderate = `mutation ($input: ModerateInput!) { moderate(input: $input) {
  flagged action reasoning categories { name flagged score } } }`;
const guardrails = [
  { name: 'mail', stages: ['INPUT'], check: { pii: ['EMAIL'] }, action: 'REDACT' },
  { name: 'words', stages: ['INPUT', 'OUTPUT'], check: { patterns: ['(?i)forbidden'] } },
  { name: 'noted', stages: ['INPUT'], check: { patterns: ['curious'] }, action: 'ALLOW' },
];

describe('moderate', () => {
  test.each([
    ['Good day', 'INPUT', { flagged: false, action: 'ALLOW', reasoning: null, categories: [] }],
    ['I am bob@example.com', 'INPUT', { flagged: true, action: 'REDACT', reasoning: 'mail: Found: EMAIL.' }],
    ['bob@example.com: F&#79;rbidden', 'INPUT', { flagged: true, action: 'BLOCK' }],
    ['How curious', 'INPUT', { flagged: true, action: 'ALLOW', reasoning: 'noted: Found: pattern 1.' }],
    ['I am bob@example.com', 'OUTPUT', { flagged: false, action: 'ALLOW' }],
    ['ｆｏｒｂｉｄｄｅｎ', 'OUTPUT', { flagged: true, action: 'BLOCK' }],
  ])('Moderating %j at %s uses the guardrails of the agent', async (text, stage, expected) => {
    const user = await openNewUser(app);
    const agentId = await user.createAgent({ guardrails });
    const answer = await user.ask(moderate, { input: { text, stage, agentId } });
    expect(answer.moderate).toMatchObject(expected);
  });

  test('A moderation uses the default agent and, with a scenario, its guardrails and its root agent', async () => {
    const user = await openNewUser(app, { tenant: 'moderated', roles: ['admin'] });
    const { moderate: free } = await user.ask(moderate, { input: { text: 'forbidden' } });
    expect(free).toMatchObject({ flagged: false });
    const root = await user.createAgent({ name: 'root', isShared: true, guardrails: guardrails.slice(0, 1) });
    const create = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }';
    const scenario = { key: 'm', name: 'M', rootAgentId: root, agents: [{ agentId: root, handoffs: [] }] };
    await user.ask(create, { input: { ...scenario, guardrails: guardrails.slice(1) } });
    const { moderate: both } = await user.ask(moderate, {
      input: { text: 'forbidden, says bob@example.com', scenarioKey: 'm' },
    });
    expect(both.categories.map(({ name }: { name: string }) => name)).toEqual(['pattern 1', 'EMAIL']);
  });

  test('A text that is moderated is not stored, but the tokens of a classifier are counted', async () => {
    const user = await openNewUser(app);
    const judge = await user.createAgent({ name: 'judge' });
    const check = { classifier: { agentId: judge, question: 'Is it rude?' } };
    const agentId = await user.createAgent({ guardrails: [{ name: 'rude', stages: ['INPUT'], check }] });
    const usage = { inputTokens: 5, outputTokens: 2 };
    app.model.add({ text: '```json\n{"flagged": true, "confidence": 0.9, "reasoning": "It is."}\n```', usage });
    const answer = await user.ask(moderate, { input: { text: 'You fool', agentId } });
    expect(answer.moderate).toMatchObject({ flagged: true, action: 'BLOCK', reasoning: 'rude: It is.' });
    const { viewer } = await user.ask('{ viewer { usage { totalTokens modelCalls } } }');
    expect(viewer.usage).toEqual({ totalTokens: 7, modelCalls: 1 });
  });

  test.each([
    [{ text: '' }, 'BAD_USER_INPUT', /input\.text must be 1 to 100,000/],
    [{ text: 'x', scenarioKey: 'absent' }, 'NOT_FOUND', /no scenario with the key "absent"/],
    [{ text: 'x', agentId: 'agt_01a22286-b093-72fa-ad26-b0d60fcba73e' }, 'NOT_FOUND', /no agent/],
  ])('A moderation of %j is refused with %s', async (input, code, message) => {
    const { errors } = await app.query(moderate, { input });
    expect(errors[0]?.extensions.code).toBe(code);
    expect(errors[0]?.message).toMatch(message);
  });
});

describe('Texts outside of a run', () => {
  test('Each text is checked with the guardrails of its own stage, in order, whatever their mode', async () => {
    const user = await openNewUser(app);
    const parallel = [{ ...guardrails[1], mode: 'PARALLEL' }];
    const agentId = parseId('Agent', await user.createAgent({ guardrails: [guardrails[0], ...parallel] }), []);
    const { sub, tenant = 'default' } = JSON.parse(atob(user.token.split('.')[1] ?? ''));
    const viewer = { userId: sub, tenantId: tenant, roles: [], expiresAt: Infinity };
    const found = await findGuardrails(viewer, app.app.runs, { agentId, scenarioId: null });
    const texts = [
      { stage: 'INPUT', text: 'I am bob@example.com' },
      { stage: 'OUTPUT', text: 'You are bob@example.com' },
      { stage: 'OUTPUT', text: 'Forbidden' },
      { stage: 'TOOL_INPUT', text: 'Forbidden' },
    ] as const;
    const guardedBy = { agentId, guardrails: found ?? [], conversationId: null };
    const signal = new AbortController().signal;
    const checked = await checkTexts(viewer, app.app.runs, guardedBy, texts, signal);
    expect(checked.map(({ value, isRedacted, blockedBy }) => [value, isRedacted, blockedBy])).toEqual([
      ['I am [EMAIL]', true, null],
      ['You are bob@example.com', false, null],
      ['Forbidden', false, 'words'],
      ['Forbidden', false, null],
    ]);
    const stopped = AbortSignal.abort(new Error('The client has gone.'));
    await expect(checkTexts(viewer, app.app.runs, guardedBy, texts, stopped)).rejects.toThrow('The client has gone.');
  });
});

describe('The guardrails of agents', () => {
  const fields = 'id guardrails { name action mode window onError stages check { __typename } }';
  const update = `mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { ${fields} } }`;

  test('Guardrails of an agent stay until they are changed, and null removes them', async () => {
    const user = await openNewUser(app);
    const id = await user.createAgent({ guardrails });
    const renamed = await user.ask(update, { id, input: { name: 'renamed' } });
    expect(renamed.updateAgent.guardrails).toHaveLength(3);
    const changed = await user.ask(update, { id, input: { guardrails: guardrails.slice(1, 2) } });
    expect(changed.updateAgent.guardrails).toEqual([
      {
        name: 'words',
        stages: ['INPUT', 'OUTPUT'],
        action: 'BLOCK',
        mode: 'BLOCKING',
        window: null,
        onError: 'CLOSED',
        check: { __typename: 'PatternCheck' },
      },
    ]);
    expect((await user.ask(update, { id, input: { guardrails: null } })).updateAgent.guardrails).toEqual([]);
  });

  test('A window that is too small for a provider is refused, with the field and the limit', async () => {
    const user = await openNewUser(app);
    const guardrail = { name: 'm', stages: ['OUTPUT'], check: { moderation: {} }, mode: 'HOLD_BACK', window: 199 };
    const create = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
    const input = { name: 'a', instructions: 'Be brief.', guardrails: [guardrail] };
    const { errors } = await app.query(create, { input }, { token: user.token });
    expect(errors[0]?.message).toMatch(
      /input\.guardrails\.0\.window must be at least 200 for a check that asks a provider/,
    );
    await user.createAgent({ guardrails: [{ ...guardrail, window: 200 }] });
  });

  test('An agent that classifies for another agent or a scenario cannot be deleted before that ends', async () => {
    const user = await openNewUser(app, { tenant: 'judged', roles: ['admin'] });
    const judge = await user.createAgent({ name: 'judge', isShared: true });
    const check = { classifier: { agentId: judge, question: 'Is it rude?' } };
    const guarded = [{ name: 'rude', stages: ['INPUT'], check }];
    const id = await user.createAgent({ name: 'guarded', isShared: true, guardrails: guarded });
    const remove = `mutation { deleteAgent(id: "${judge}") }`;
    const first = await app.query(remove, {}, { token: user.token });
    expect(first.errors[0]).toMatchObject({ extensions: { code: 'CONFLICT' } });
    expect(first.errors[0]?.message).toMatch(/classifies for a guardrail of the agent "guarded"/);
    await user.ask(update, { id, input: { guardrails: null } });
    const create = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }';
    const scenario = { key: 'g', name: 'G', rootAgentId: id, agents: [{ agentId: id, handoffs: [] }] };
    const { createScenario } = await user.ask(create, { input: { ...scenario, guardrails: guarded } });
    const second = await app.query(remove, {}, { token: user.token });
    expect(second.errors[0]?.message).toMatch(/used by the scenario "g"/);
    await user.ask(`mutation { deleteScenario(id: "${createScenario.id}") }`);
    await user.ask(remove);
  });
});
