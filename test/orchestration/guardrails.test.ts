import { describe, expect, test } from 'vitest';
import type { ReceivedRequest } from '../../src/demo/steps.ts';
import { shareApp } from '../support/app.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { certain, choice, isRouting, openOrchestrated, reply } from './open.ts';

const app = shareApp();
const guardrail = (over: object) => ({ name: 'guard', stages: ['INPUT'], check: { pii: ['EMAIL'] }, ...over });
const expectRedacted = (request: ReceivedRequest) => {
  expect(JSON.stringify(request.body)).not.toContain('bob@example.com');
  expect(JSON.stringify(request.messages)).toContain('[EMAIL]');
};

describe('The guardrails of the text of the user come before the classifier', () => {
  test.each([
    ['of the scenario', { guardrails: [guardrail({ action: 'REDACT' })] }],
    ['of the agent that would answer', { agents: { desk: { guardrails: [guardrail({ action: 'REDACT' })] } } }],
    ['of the classifier', { agents: { classifier: { guardrails: [guardrail({ action: 'REDACT' })] } } }],
  ])('What a guardrail %s redacts, the classifier is not sent', async (_whose, given) => {
    const chat = await openOrchestrated(app, given);
    app.model.add(choice(certain('my_billing'), { expect: expectRedacted }), reply('Yes.', { expect: expectRedacted }));
    const { run, types } = await chat.turn('I am bob@example.com');
    expect(run).toMatchObject({ status: 'COMPLETED', userMessage: { content: 'I am [EMAIL]' } });
    expect(types.slice(0, 3)).toEqual(['RunStarted', 'GuardrailTripped', 'RoutingDecided']);
  });

  test.each([
    ['of the scenario', { guardrails: [guardrail({ check: { patterns: ['forbidden'] } })] }],
    [
      'of the classifier',
      { agents: { classifier: { guardrails: [guardrail({ check: { patterns: ['forbidden'] } })] } } },
    ],
  ])('What a guardrail %s blocks, no model is sent', async (_whose, given) => {
    const chat = await openOrchestrated(app, given);
    const before = app.model.requests.length;
    const { run, types } = await chat.turn('This is forbidden');
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'GUARDRAIL_TRIPPED' }, routingDecision: null });
    expect(types).toEqual(['RunStarted', 'GuardrailTripped', 'RunFailed']);
    expect(app.model.requests).toHaveLength(before);
  });

  test('The guardrails of the chosen agent check the text before its model sees it; those of the scenario check it once', async () => {
    const chat = await openOrchestrated(app, {
      guardrails: [guardrail({ name: 'shared', check: { patterns: ['never there'] } })],
      agents: { billing: { guardrails: [guardrail({ name: 'own', check: { patterns: ['forbidden'] } })] } },
    });
    app.model.add(choice(certain('my_billing')));
    const { run } = await chat.turn('This is forbidden');
    expect(run).toMatchObject({
      status: 'FAILED',
      error: { code: 'GUARDRAIL_TRIPPED' },
      agent: { name: 'my_billing' },
    });
    expect(run.guardrailResults.map(({ guardrail: name }: { guardrail: string }) => name).sort()).toEqual([
      'own',
      'shared',
    ]);
  });
});

test('A reason of the classifier that a guardrail of answers flags is withheld everywhere', async () => {
  const secret = guardrail({
    stages: ['OUTPUT'],
    check: { patterns: ['hunter2'] },
    mode: 'HOLD_BACK',
    action: 'BLOCK',
  });
  const chat = await openOrchestrated(app, { guardrails: [secret] });
  app.model.add(choice(certain('my_billing', { reasoning: 'The password is hunter2.' })), reply('Yes.'));
  const { run, events } = await chat.turn('I want my money');
  expect(run).toMatchObject({ status: 'COMPLETED', agent: { name: 'my_billing' } });
  expect(run.routingDecision.reasoning).toBe('A guardrail withholds the reason of the classifier.');
  expect(JSON.stringify([run, events, app.logs])).not.toContain('hunter2');
});

test('A guardrail beside the model stops the classifier too', async () => {
  const gate = createGate();
  const check = { classifier: { agentId: '', question: 'Is it bad?' } };
  const chat = await openOrchestrated(app);
  check.classifier.agentId = chat.ids.classifier ?? '';
  const input = { guardrails: [guardrail({ check, mode: 'PARALLEL' })] };
  await chat.admin.ask(
    'mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { id } }',
    {
      id: chat.ids.desk,
      input,
    },
  );
  app.model.add(choice('', { misbehave: 'hang-before-headers' }), {
    match: (request) => !isRouting(request),
    text: '{"flagged": true, "confidence": 1, "reasoning": "Bad."}',
    gate,
    afterTokens: 0,
  });
  const before = app.model.requests.length;
  const reader = chat.say('This is bad');
  const { runId } = await reader.until('RunStarted');
  await app.model.received(before + 2);
  gate.open();
  await reader.rest();
  const run = await chat.readRun(runId);
  expect(run).toMatchObject({ status: 'FAILED', error: { code: 'GUARDRAIL_TRIPPED' }, routingDecision: null });
});
