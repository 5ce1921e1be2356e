import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseId } from '../../src/api/ids.ts';
import { findPosition } from '../../src/runs/execute/find-position.ts';
import { shareApp } from '../support/app.ts';
import { documents, openChat, openNewUser } from '../support/chat.ts';
import { dumpDatabase } from '../support/database/dump.ts';

const app = shareApp();
/** An address that no other test has written anywhere. */
const newAddress = () => `bob.${randomUUID().slice(0, 8)}@example.com`;

const runFields = `query ($id: ID!) { run(id: $id) {
  status error { code message retryable } lastSeq
  userMessage { content status } messages { content status finishReason }
  toolCalls { name arguments result status error }
  guardrailResults { guardrail stage tripwireTriggered at
    decision { flagged action reasoning categories { name flagged score } } }
  usage { modelCalls totalTokens }
} }`;

type Input = Readonly<Record<string, unknown>>;
const guardrail = (over: Input): Input => ({ name: 'guard', stages: ['OUTPUT'], check: { pii: ['EMAIL'] }, ...over });

/** A chat with an agent of the user that has guardrails. */
async function openGuarded(guardrails: readonly Input[], agent: Input = {}) {
  const user = await openNewUser(app);
  const agentId = await user.createAgent({ guardrails, ...agent });
  return openChat(app, { agentId }, { sub: JSON.parse(atob(user.token.split('.')[1] ?? '')).sub });
}
type Chat = Awaited<ReturnType<typeof openGuarded>>;

/** Says something, and reads the run as it is stored. */
async function say(chat: Chat, content = 'Hello') {
  const events = await chat.readToEnd(content);
  const { run } = await chat.ask(runFields, { id: events[0]?.runId });
  return { events, run, types: events.map(({ __typename }) => __typename) };
}

describe('A guardrail for the text of the user', () => {
  test('A guardrail redacts what it finds before the text is stored, sent or made a title', async () => {
    const address = newAddress();
    const chat = await openGuarded([guardrail({ stages: ['INPUT'], action: 'REDACT' })]);
    app.model.add({ text: 'Yes.', expect: ({ messages }) => expect(JSON.stringify(messages)).not.toContain('bob') });
    const { run, types, events } = await say(chat, `I am ${address}`);
    expect(run.userMessage).toEqual({ content: 'I am [EMAIL]', status: 'REDACTED' });
    expect(run.status).toBe('COMPLETED');
    expect(types).toContain('GuardrailTripped');
    expect(run.guardrailResults).toMatchObject([
      { stage: 'INPUT', tripwireTriggered: true, decision: { action: 'REDACT', categories: [{ name: 'EMAIL' }] } },
    ]);
    const { conversation } = await chat.ask('query ($id: ID!) { conversation(id: $id) { title } }', {
      id: chat.conversationId,
    });
    expect(conversation.title).toBe('I am [EMAIL]');
    expect(await dumpDatabase(app.app.runs)).not.toContain(address);
    expect(JSON.stringify([app.logs, events])).not.toContain(address);
  });

  test('A guardrail attaches the same request to the same turn, although its text was redacted', async () => {
    const address = newAddress();
    const chat = await openGuarded([guardrail({ stages: ['INPUT'], action: 'REDACT' })]);
    app.model.add({ text: 'Once.' });
    const input = { conversationId: chat.conversationId, content: `I am ${address}`, idempotencyKey: randomUUID() };
    const first = await chat.ask(documents.sendMessage, { input });
    const second = await chat.ask(documents.sendMessage, { input });
    expect(second.sendMessage.id).toBe(first.sendMessage.id);
  });

  test('A guardrail blocks: the model is not asked, and later turns do not see the text', async () => {
    const chat = await openGuarded([guardrail({ stages: ['INPUT'], check: { patterns: ['(?i)forbidden'] } })]);
    const { run, types } = await say(chat, 'This is f\u200borbi\u00addden');
    expect(run).toMatchObject({
      status: 'FAILED',
      error: { code: 'GUARDRAIL_TRIPPED', retryable: false },
      messages: [],
    });
    expect(types.slice(-2)).toEqual(['GuardrailTripped', 'RunFailed']);
    app.model.add({ text: 'Hi.', expect: ({ messages }) => expect(messages).toHaveLength(1) });
    expect((await say(chat, 'Hello again')).run.status).toBe('COMPLETED');
  });

  test('A guardrail asks the Moderations API, and a provider that fails blocks or passes as configured', async () => {
    const moderation = { stages: ['INPUT'], check: { moderation: {} } };
    const closed = await openGuarded([guardrail({ ...moderation, name: 'moderated' })]);
    expect((await say(closed, 'I will kill you')).run).toMatchObject({
      error: { code: 'GUARDRAIL_TRIPPED' },
      guardrailResults: [{ guardrail: 'moderated', decision: { action: 'BLOCK' } }],
    });
    app.model.add({ text: 'Hello.' });
    expect((await say(closed, 'Good day')).run).toMatchObject({
      status: 'COMPLETED',
      guardrailResults: [{ tripwireTriggered: false, decision: { flagged: false, action: 'ALLOW' } }],
    });

    const { answerModeration } = await import('../../src/demo/moderation.ts');
    const open = await openGuarded([guardrail({ ...moderation, onError: 'OPEN' })]);
    const answers: Parameters<typeof app.model.moderateWith>[0][] = [
      async (_sent, _incoming, response) => void response.writeHead(500).end('{}'),
      async (_sent, _incoming, response) => void response.writeHead(200).end('{"results": [{"flagged": tr'),
      async (_sent, _incoming, response) => void response.writeHead(200).end('{"results": []}'),
      // What flags a text is stored and shown: it must not be as long as a provider likes.
      async (_sent, _incoming, response) => {
        const categories = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`c${index}`, true]));
        const results = [{ flagged: true, categories, category_scores: {} }];
        response.writeHead(200).end(JSON.stringify({ results }));
      },
      async (_sent, _incoming, response) => {
        const results = [{ flagged: true, categories: { ['x'.repeat(101)]: true }, category_scores: {} }];
        response.writeHead(200).end(JSON.stringify({ results }));
      },
    ];
    for (const answer of answers) {
      app.model.moderateWith(answer);
      const failed = await say(closed, 'Good day');
      expect(failed.run.error.code).toBe('GUARDRAIL_TRIPPED');
      expect(failed.run.guardrailResults[0].decision.reasoning).toMatch(/^The check failed: .*onError CLOSED/);
      app.model.add({ text: 'Hello.' });
      const passed = await say(open, 'Good day');
      expect(passed.run.status).toBe('COMPLETED');
      expect(passed.run.guardrailResults[0]).toMatchObject({ tripwireTriggered: false });
      expect(passed.run.guardrailResults[0].decision.reasoning).toMatch(/passed \(onError OPEN\)/);
    }
    app.model.moderateWith(answerModeration);
  });

  test('A guardrail asks a classifier with structured output, whose tokens are in the ledger', async () => {
    const address = newAddress();
    const admin = await openNewUser(app);
    const classifierId = await admin.createAgent({ name: 'judge', instructions: 'You judge.' });
    const check = { classifier: { agentId: classifierId, question: 'Is it about medicine?' } };
    const sub: string = JSON.parse(atob(admin.token.split('.')[1] ?? '')).sub;
    const agentId = await admin.createAgent({ guardrails: [guardrail({ stages: ['INPUT'], check })] });
    const chat = await openChat(app, { agentId }, { sub });
    const usage = { inputTokens: 30, outputTokens: 12 };
    app.model.add({
      text: JSON.stringify({ flagged: true, confidence: 0.8, reasoning: `Asks for a drug, says ${address}.` }),
      usage,
      expect: ({ body, messages }) => {
        expect(JSON.stringify(body)).toContain('"json_schema"');
        expect(messages).toEqual([{ role: 'user', content: JSON.stringify('Which "drug"?') }]);
      },
    });
    const { run } = await say(chat, 'Which "drug"?');
    expect(run).toMatchObject({ error: { code: 'GUARDRAIL_TRIPPED' }, usage: { modelCalls: 1, totalTokens: 42 } });
    expect(run.guardrailResults[0].decision.categories).toEqual([{ name: 'classifier', flagged: true, score: 0.8 }]);
    for (const text of ['Yes, I would say so.', '{"flagged": "yes"}', '']) {
      app.model.add({ text: text === '' ? ' ' : text });
      const failed = await say(chat, 'Which drug?');
      expect(failed.run.guardrailResults[0].decision.reasoning).toMatch(/The check failed/);
      expect(failed.run.error.code).toBe('GUARDRAIL_TRIPPED');
    }
  });

  test('A guardrail stops the answer beside it, and withdraws what was shown of it', async () => {
    const check = { moderation: {} };
    const chat = await openGuarded([guardrail({ stages: ['INPUT'], check, mode: 'PARALLEL' })]);
    const shown = Promise.withResolvers<void>();
    const { answerModeration } = await import('../../src/demo/moderation.ts');
    app.model.moderateWith(async (...request) => {
      await shown.promise;
      await answerModeration(...request);
    });
    app.model.add({ text: ['One ', 'two ', 'three'], afterTokens: 1, gate: new Promise<void>(() => {}) });
    const reader = chat.say('How to attack?');
    await reader.until('TextDelta');
    shown.resolve();
    const events = await reader.rest();
    app.model.moderateWith(answerModeration);
    expect(events.map(({ __typename }) => __typename).slice(-4)).toEqual([
      'TextRetracted',
      'MessageCompleted',
      'GuardrailTripped',
      'RunFailed',
    ]);
  });
});

describe('A guardrail for answers', () => {
  test('A guardrail redacts: no reader, row, archive, log or later history holds what was flagged', async () => {
    const address = newAddress();
    const chat = await openGuarded([guardrail({ action: 'REDACT', mode: 'HOLD_BACK', window: 40 })]);
    app.model.add({
      reasoning: ['He is ', address.slice(0, 6), address.slice(6), ', I think'],
      text: [...`Ask ${address}, now.`],
    });
    const { events, run } = await say(chat);
    expect(run.messages).toEqual([{ content: 'Ask [EMAIL], now.', status: 'REDACTED', finishReason: 'STOP' }]);
    expect(run.guardrailResults.filter((each: { tripwireTriggered: boolean }) => each.tripwireTriggered)).not.toEqual(
      [],
    );
    app.model.add({
      text: 'Ok.',
      expect: ({ messages }) => expect(JSON.stringify(messages)).toContain('Ask [EMAIL], now.'),
    });
    await say(chat, 'And now?');
    for (const held of [JSON.stringify(events), JSON.stringify(app.logs), await dumpDatabase(app.app.runs)]) {
      expect(held).not.toContain(address);
    }
  });

  test('An answer of which a guardrail has replaced something is finished: whoever takes its run over keeps it', async () => {
    const chat = await openGuarded([guardrail({ action: 'REDACT' })]);
    app.model.add({ text: `Ask ${newAddress()}, now.` });
    const { events } = await say(chat);
    const runId = parseId('Run', events[0]?.runId ?? '', []);
    const messages = await app.app.runs.db.message.findMany({ where: { runId } });
    expect(messages).toMatchObject([{ status: 'REDACTED', transfers: [] }]);
    const position = findPosition({ messages, toolCalls: [], handoffs: [] });
    expect(position).toMatchObject({ kind: 'answer', step: 0, calls: [], content: 'Ask [EMAIL], now.' });
  });

  test('A guardrail blocks: the message is PARTIAL without what was flagged, on every transport and after every seq', async () => {
    const address = newAddress();
    const chat = await openGuarded([guardrail({ mode: 'HOLD_BACK' })]);
    const shown = Promise.withResolvers<void>();
    app.model.add({ text: ['It is late. ', ...`Ask ${address}, now. Bye.`], afterTokens: 1, gate: shown.promise });
    const reader = chat.say('Hello');
    await reader.untilText('It is late. ');
    shown.resolve();
    const events = await reader.rest();
    const { run } = await chat.ask(runFields, { id: events[0]?.runId });
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'GUARDRAIL_TRIPPED' } });
    expect(run.messages).toEqual([{ content: 'It is late. ', status: 'PARTIAL', finishReason: 'FILTERED' }]);
    const runId = events[0]?.runId ?? '';
    for (const transport of ['ws', 'sse'] as const) {
      for (let after = 0; after <= run.lastSeq; after++) {
        const rest = await chat.runEvents(transport, runId, after).rest();
        expect(JSON.stringify(rest)).not.toContain('bob');
        expect(rest.at(-1)?.__typename ?? 'RunFailed').toBe('RunFailed');
      }
    }
    expect(await dumpDatabase(app.app.runs)).not.toContain(address);
  });

  test('A guardrail withdraws what was shown if it is checked in parallel', async () => {
    const address = newAddress();
    const chat = await openGuarded([guardrail({ mode: 'PARALLEL', action: 'REDACT' })]);
    const shown = Promise.withResolvers<void>();
    app.model.add({ text: [`Ask ${address}`, ' now. ', 'Bye.'], afterTokens: 1, gate: shown.promise });
    const reader = chat.say('Hello');
    await reader.untilText(`Ask ${address}`);
    shown.resolve();
    const events = await reader.rest();
    const types = events.map(({ __typename }) => __typename);
    const { run } = await chat.ask(runFields, { id: events[0]?.runId });
    expect(run.messages).toEqual([{ content: 'Ask [EMAIL] now. Bye.', status: 'REDACTED', finishReason: 'STOP' }]);
    expect(types).toContain('TextRetracted');
  });

  test('A guardrail runs for every agent that becomes active, and only for it', async () => {
    const address = newAddress();
    const admin = await openNewUser(app, { roles: ['admin'], tenant: 'handoffs' });
    const to = await admin.createAgent({
      name: 'guarded',
      isShared: true,
      guardrails: [guardrail({ action: 'REDACT' })],
    });
    const root = await admin.createAgent({ name: 'free', isShared: true });
    const create = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }';
    const input = {
      key: 'two_agents',
      name: 'Guarded',
      rootAgentId: root,
      agents: [
        { agentId: root, handoffs: [{ toAgentId: to }] },
        { agentId: to, handoffs: [] },
      ],
      guardrails: [guardrail({ name: 'all', check: { patterns: ['swordfish'] }, action: 'REDACT' })],
    };
    await admin.ask(create, { input });
    const chat = await openChat(app, 'two_agents', { tenant: 'handoffs' });
    app.model.add(
      { text: `swordfish ${address}`, calls: [{ name: 'transfer_to_guarded', arguments: {} }] },
      { text: `swordfish ${address}` },
    );
    const { run } = await say(chat);
    expect(run.messages.map(({ content }: { content: string }) => content)).toEqual([
      `[REDACTED] ${address}`,
      '[REDACTED] [EMAIL]',
    ]);
  });
});

describe('A guardrail for tools', () => {
  test('A guardrail redacts the arguments before the tool, the rows and the model get them', async () => {
    const address = newAddress();
    const chat = await openGuarded([guardrail({ stages: ['TOOL_INPUT'], action: 'REDACT' })], {
      tools: ['lookup_order'],
    });
    app.model.add(
      { calls: [{ name: 'lookup_order', arguments: { orderNumber: address } }] },
      { text: 'Done.', expect: ({ messages }) => expect(JSON.stringify(messages)).not.toContain('bob') },
    );
    const { run } = await say(chat);
    expect(run.toolCalls[0].arguments).toBe('{"orderNumber":"[EMAIL]"}');
    expect(run.guardrailResults).toMatchObject([{ stage: 'TOOL_INPUT', tripwireTriggered: true }]);
    expect(await dumpDatabase(app.app.runs)).not.toContain(address);
  });

  test('A guardrail blocks arguments before anything of the call is written', async () => {
    const chat = await openGuarded([guardrail({ stages: ['TOOL_INPUT'] })], { tools: ['lookup_order'] });
    app.model.add({ calls: [{ name: 'lookup_order', arguments: `{"orderNumber":"bob.secret\\u0040example.com"}` }] });
    const { run } = await say(chat);
    expect(run).toMatchObject({ error: { code: 'GUARDRAIL_TRIPPED' }, toolCalls: [] });
  });

  test('A guardrail redacts or withholds what a tool returned', async () => {
    const check = { patterns: ['Blue [A-Z]\\w+|Desk lamp|(?i)kettle|mug|shipped'] };
    const redacting = await openGuarded([guardrail({ stages: ['TOOL_OUTPUT'], check, action: 'REDACT' })], {
      tools: ['lookup_order'],
    });
    const call = { name: 'lookup_order', arguments: { orderNumber: '1042' } };
    app.model.add(
      { calls: [call] },
      { text: 'Done.', expect: ({ messages }) => expect(JSON.stringify(messages)).toContain('[REDACTED]') },
    );
    const { run } = await say(redacting);
    expect(JSON.stringify(run.toolCalls[0].result)).toContain('[REDACTED]');

    const blocking = await openGuarded([guardrail({ stages: ['TOOL_OUTPUT'], check })], { tools: ['lookup_order'] });
    app.model.add({ calls: [call] });
    const blocked = await say(blocking);
    expect(blocked.run.error.code).toBe('GUARDRAIL_TRIPPED');
    expect(blocked.run.toolCalls).toMatchObject([{ status: 'FAILED', result: null }]);
  });
});
