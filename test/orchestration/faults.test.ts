import { describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import type { TestStep } from '../support/scripted-model/script.ts';
import { certain, choice, openOrchestrated, reply } from './open.ts';

const app = shareApp();
/** Classifiers have little time here. */
const hasty = shareApp({ env: { ORCHESTRATION_TIMEOUT_SECONDS: '1' } });
const half = JSON.stringify(certain('my_billing')).slice(0, 30);

const faults: readonly (readonly [string, TestStep, RegExp])[] = [
  ['prose', choice('I think that billing should take this one.'), /the JSON object/],
  ['an agent outside of the scenario', choice(certain('my_classifier')), /not in the scenario/],
  ['nothing', choice(''), /./],
  ['an empty object', choice({}), /the JSON object/],
  ['a confidence above 1', choice(certain('my_billing', { confidence: 90 })), /the JSON object/],
  ['half an object', choice(half), /the JSON object/],
  ['half an object, cut at the limit', choice(half, { finish: 'length' }), /cut off/],
  ['half an answer, then a clean end', choice(certain('my_billing'), { misbehave: 'truncate', afterTokens: 1 }), /./],
  ['half an answer, then garbage', choice(certain('my_billing'), { misbehave: 'garbage', afterTokens: 1 }), /./],
  ['an endless text', choice('so '.repeat(20_000)), /too long/],
  ['nothing in time', choice('', { misbehave: 'hang-before-headers' }), /within 1 seconds/],
  ['half an answer in time', choice(certain('my_billing'), { misbehave: 'hang', afterTokens: 1 }), /within 1 seconds/],
  ['the status 500', choice('', { misbehave: { status: 500 } }), /./],
  ['an error within the stream', choice(certain('my_billing'), { misbehave: 'in-band-error', afterTokens: 1 }), /./],
  ['a refusal', { ...choice(''), refusal: 'I cannot do that.' }, /./],
];

describe('A classifier that fails', () => {
  test.each(faults)(
    'If it answers %s, the agent answers that would answer without it',
    async (_name, step, problem) => {
      const at = problem.source.includes('seconds') ? hasty : app;
      const chat = await openOrchestrated(at);
      at.model.add(step, reply('I am the desk.'));
      const { run, types } = await chat.turn('My secret wish is a refund');
      expect(types.slice(0, 3)).toEqual(['RunStarted', 'RoutingDecided', 'MessageStarted']);
      expect(run).toMatchObject({
        status: 'COMPLETED',
        agent: { name: 'my_desk' },
        messages: [{ content: 'I am the desk.' }],
        routingDecision: { rootAgent: { name: 'my_desk' }, confidence: 0, alternatives: [] },
      });
      expect(run.routingDecision.reasoning).toMatch(/^The classifier could not choose: .*\.$/);
      expect(run.routingDecision.reasoning).toMatch(problem);
      const line = at.logs.findLast(({ msg }) => msg === 'a classifier could not choose an agent');
      expect(line?.problem).toMatch(problem);
      expect(JSON.stringify(at.logs)).not.toContain('secret wish');
    },
  );

  test('The active agent stays, and the next turn asks again', async () => {
    const chat = await openOrchestrated(app);
    app.model.add(choice(certain('my_orders')), reply('Yes.'), choice('Well.'), reply('Still me.'));
    await chat.turn('Where is my parcel?');
    expect((await chat.turn('And when does it come?')).run.agent.name).toBe('my_orders');
    app.model.add(choice(certain('my_billing')), reply('Now me.'));
    expect((await chat.turn('I want my money back.')).run.agent.name).toBe('my_billing');
  });

  test('What it used counts, and a call whose tokens are not known makes the sum incomplete', async () => {
    const chat = await openOrchestrated(app);
    const usage = { inputTokens: 3, outputTokens: 4 };
    app.model.add(choice('Prose.', { usage }), reply('Yes.', { usage }));
    expect((await chat.turn('One')).run.usage).toEqual({ modelCalls: 2, totalTokens: 14, complete: true });
    app.model.add(choice(certain('my_billing'), { misbehave: 'truncate', afterTokens: 1 }), reply('Yes.', { usage }));
    expect((await chat.turn('Two')).run.usage).toEqual({ modelCalls: 2, totalTokens: 7, complete: false });
    app.model.add(choice('', { misbehave: { status: 500 } }), reply('Yes.', { usage }));
    expect((await chat.turn('Three')).run.usage).toEqual({ modelCalls: 1, totalTokens: 7, complete: true });
  });
});

describe('The threshold', () => {
  test('A choice below it is not followed, and is among the alternatives', async () => {
    const chat = await openOrchestrated(app, { orchestration: { threshold: 0.8 } });
    const said = certain('my_billing', { confidence: 0.79, alternatives: ['my_orders', 'my_desk'] });
    app.model.add(choice(said), reply('I am the desk.'));
    const { run } = await chat.turn('Hm');
    expect(run.routingDecision).toMatchObject({
      rootAgent: { name: 'my_desk' },
      confidence: 0.79,
      alternatives: ['my_billing', 'my_orders'],
    });
    expect(run.routingDecision.reasoning).toContain('the threshold is 0.8');
  });

  test('A choice at it is followed, a name in other letter case is understood, and a fence around the JSON too', async () => {
    const chat = await openOrchestrated(app, { orchestration: { threshold: 0.8 } });
    const said = certain('MY_Billing', { confidence: 0.8 });
    app.model.add(choice(`\`\`\`json\n${JSON.stringify(said)}\n\`\`\``), reply('Money.'));
    expect((await chat.turn('Hm')).run.agent.name).toBe('my_billing');
  });
});

describe('A classifier that cannot be used', () => {
  test('If it is switched off, the turn goes on without it', async () => {
    const chat = await openOrchestrated(app);
    const document = 'mutation ($id: ID!) { updateAgent(id: $id, input: { isActive: false }) { id } }';
    await chat.admin.ask(document, { id: chat.ids.classifier });
    app.model.add(reply('I am the desk.'));
    const { run } = await chat.turn('Hello');
    expect(run).toMatchObject({ status: 'COMPLETED', agent: { name: 'my_desk' } });
    expect(run.routingDecision.reasoning).toContain('the agent that classifies cannot be used');
  });

  test('It cannot be deleted as long as a scenario uses it', async () => {
    const chat = await openOrchestrated(app);
    const token = await app.token({ sub: 'root', tenant: chat.tenant, roles: ['admin'] });
    const document = 'mutation ($id: ID!) { deleteAgent(id: $id) }';
    const { errors } = await app.query(document, { id: chat.ids.classifier }, { token });
    expect(errors[0]).toMatchObject({ extensions: { code: 'CONFLICT' } });
    expect(errors[0]?.message).toContain('"mine"');
  });

  test('Without one, the model of the root agent classifies, and not with its instructions', async () => {
    const chat = await openOrchestrated(app, { orchestration: { classifierAgentId: null } });
    const expectBare = ({ instructions }: { readonly instructions: string }) =>
      expect(instructions).not.toContain('You are desk.');
    app.model.add(choice(certain('my_orders'), { expect: expectBare }), reply('Here.'));
    expect((await chat.turn('Where is it?')).run.agent.name).toBe('my_orders');
  });
});
