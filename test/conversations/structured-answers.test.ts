import { describe, expect, test } from 'vitest';
import { decide, refund, startWaitingTurn } from '../approvals/decide.ts';
import { shareApp } from '../support/app.ts';
import { openChat, openNewUser } from '../support/chat.ts';
import { dumpDatabase } from '../support/database/dump.ts';
import type { TestStep } from '../support/scripted-model/script.ts';

/** Whether a test runs on an instance that speaks this API. Of one tenant, reasoning is stored. */
const apis = [
  ['responses', shareApp({ env: { MODEL_API: 'responses', STORE_REASONING: 'globex, thinkers' } })],
  ['chat_completions', shareApp({ env: { MODEL_API: 'chat_completions', STORE_REASONING: 'globex, thinkers' } })],
] as const;
const [[, app]] = apis;

type Input = Readonly<Record<string, unknown>>;

const outputSchema = {
  type: 'object',
  properties: { city: { type: 'string' }, degrees: { type: 'number' } },
  required: ['city', 'degrees'],
  additionalProperties: false,
};
const fitting = '{"city":"Bonn","degrees":21}';

const runDocument = `query ($id: ID!) { run(id: $id) {
  status error { code message retryable } usage { modelCalls }
  messages { id content status finishReason data reasoning agent { name outputSchema } }
  guardrailResults { guardrail stage tripwireTriggered }
} }`;

/** A user of a tenant in a conversation with an agent whose answers are JSON. */
async function openStructured(of: (typeof apis)[number][1], agent: Input = {}, tenant = 'acme') {
  const user = await openNewUser(of, { tenant });
  const agentId = await user.createAgent({ name: 'weather', outputSchema, ...agent });
  const chat = await openChat(of, { agentId }, JSON.parse(atob(user.token.split('.')[1] ?? '')));
  return {
    ...chat,
    agentId,
    async turn(steps: readonly TestStep[], content = 'The weather in Bonn?', input: Input = {}) {
      of.model.add(...steps);
      const events = await chat.readToEnd(content, input);
      const { run } = await chat.ask(runDocument, { id: events[0]?.runId });
      return { events, run, types: events.map(({ __typename }) => __typename) };
    },
  };
}

describe.each(apis)('Over the API %s', (api, of) => {
  test('An answer is asked for by its schema, checked, and stored as JSON beside its text', async () => {
    const chat = await openStructured(of);
    const { run } = await chat.turn([
      {
        text: fitting,
        expect: ({ body, instructions }) => {
          const asked = api === 'responses' ? 'text' : 'response_format';
          const format = { name: 'answer', strict: true, schema: outputSchema };
          const expected =
            api === 'responses'
              ? { format: { type: 'json_schema', ...format } }
              : { type: 'json_schema', json_schema: format };
          expect(body).toMatchObject({ [asked]: expected });
          // For models without structured output.
          expect(instructions).toContain(JSON.stringify(outputSchema));
        },
      },
    ]);
    expect(run).toMatchObject({
      status: 'COMPLETED',
      messages: [{ content: fitting, status: 'COMPLETE', data: { city: 'Bonn', degrees: 21 }, reasoning: null }],
    });
    expect(run.messages[0].agent.outputSchema).toEqual(outputSchema);
  });

  test('An answer that does not fit is corrected once, and its readers see it withdrawn', async () => {
    const chat = await openStructured(of);
    const { run, types, events } = await chat.turn([
      { text: '{"city":"Bonn"}' },
      {
        text: `\`\`\`json\n${fitting}\n\`\`\``,
        expect: ({ messages }) => {
          expect(messages.at(-2)).toMatchObject({ role: 'assistant', content: '{"city":"Bonn"}' });
          expect(JSON.stringify(messages.at(-1))).toContain('degrees');
        },
      },
    ]);
    expect(run).toMatchObject({ status: 'COMPLETED', usage: { modelCalls: 2 } });
    expect(run.messages).toMatchObject([{ data: { city: 'Bonn', degrees: 21 }, finishReason: 'STOP' }]);
    expect(types.filter((type) => type === 'TextRetracted')).toHaveLength(1);
    const after = events.slice(types.indexOf('TextRetracted') + 1);
    const read = after.map((event) => (event.__typename === 'TextDelta' ? event.delta : '')).join('');
    expect(read).toBe(run.messages[0].content);
  });
});

describe('An answer that is JSON', () => {
  test('What fits in no attempt makes the run fail, and no data is stored', async () => {
    const chat = await openStructured(app);
    const { run } = await chat.turn([{ text: 'It is warm.' }, { text: '{"city":1,"degrees":"hot"}' }]);
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'MODEL_ERROR', retryable: true } });
    expect(run.error.message).toMatch(/output schema/);
    expect(run.messages).toMatchObject([{ status: 'PARTIAL', data: null }]);
  });

  test('An answer that is cut at its limit is not asked for again', async () => {
    const chat = await openStructured(app);
    const { run } = await chat.turn([{ text: '{"city":"Bo', finish: 'length' }]);
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'MODEL_ERROR', retryable: false } });
    expect(run.error.message).toMatch(/maxTokens/);
  });

  test('JSON of thousands of levels, or as a bomb of characters, is an answer that does not fit', async () => {
    const chat = await openStructured(app);
    const deep = `{"city":${'['.repeat(20_000)}${']'.repeat(20_000)}}`;
    const long = JSON.stringify({ city: 'x'.repeat(300_000), degrees: 1 });
    const { run } = await chat.turn([{ text: [deep] }, { text: [long] }]);
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'MODEL_ERROR' } });
  });

  test('A number that would be rounded is a text of its digits, where the schema takes one; it is never another number', async () => {
    const chat = await openStructured(app, {
      outputSchema: { type: 'object', properties: { id: { type: ['string', 'integer'] } }, required: ['id'] },
    });
    const { run } = await chat.turn([{ text: '{"id":1234567890123456789}' }]);
    expect(run.messages).toMatchObject([{ data: { id: '1234567890123456789' } }]);
    const strict = await openStructured(app);
    const answer = '{"city":"Bonn","degrees":1234567890123456789}';
    const failed = await strict.turn([{ text: answer }, { text: answer }]);
    expect(failed.run).toMatchObject({ status: 'FAILED', messages: [{ data: null }] });
  });

  test('The steps that call tools are not checked, the answer after them is', async () => {
    const chat = await openStructured(app, { tools: ['current_time'] });
    const { run } = await chat.turn([
      { text: 'I look.', calls: [{ name: 'current_time', arguments: {} }] },
      { text: fitting },
    ]);
    expect(run.status).toBe('COMPLETED');
    expect(run.messages.map(({ data }: { data: unknown }) => data)).toEqual([null, { city: 'Bonn', degrees: 21 }]);
  });

  test('A turn that waited for a person keeps the schema with which it has begun', async () => {
    const chat = await openStructured(app, { tools: ['refund_order'] });
    app.model.add({ calls: [refund('a')] });
    const { conversationId } = chat;
    const { runId, reader } = await startWaitingTurn(chat, { conversationId });
    const update = 'mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { id } }';
    await chat.ask(update, { id: chat.agentId, input: { outputSchema: null } });
    app.model.add({ text: 'Done.' }, { text: fitting });
    await decide(chat, runId, 'a');
    await reader.rest();
    const { run } = await chat.ask(runDocument, { id: runId });
    expect(run.messages).toMatchObject([{ data: { city: 'Bonn', degrees: 21 } }]);
  });

  test('Each branch has its own data, and lists read it for all of them', async () => {
    const chat = await openStructured(app);
    const { run } = await chat.turn([{ text: fitting }]);
    const regenerateMessageId = run.messages[0].id;
    const other = '{"city":"Köln","degrees":22}';
    await chat.turn([{ text: other }], undefined, { content: undefined, regenerateMessageId });
    const { conversation } = await chat.ask(
      `query ($id: ID!) { conversation(id: $id) {
        messages { edges { node { role data branches { data } } } } } }`,
      { id: chat.conversationId },
    );
    expect(conversation.messages.edges.map(({ node }: { node: Input }) => node)).toEqual([
      { role: 'USER', data: null, branches: [{ data: null }] },
      {
        role: 'ASSISTANT',
        data: JSON.parse(other),
        branches: [{ data: JSON.parse(fitting) }, { data: JSON.parse(other) }],
      },
    ]);
  });

  test('A guardrail sees what escapes hide: neither the text nor the data holds it', async () => {
    const guardrails = [{ name: 'guard', stages: ['OUTPUT'], check: { pii: ['EMAIL'] }, action: 'REDACT' }];
    const chat = await openStructured(app, { guardrails });
    const { run } = await chat.turn([{ text: '{"city":"\\u0070ia@hidden\\u002eexample\\u002ecom","degrees":21}' }]);
    expect(run.messages).toMatchObject([{ status: 'REDACTED', data: { city: '[EMAIL]', degrees: 21 } }]);
    expect(run.messages[0].content).toBe('{"city":"[EMAIL]","degrees":21}');
    expect(run.guardrailResults).toMatchObject([{ tripwireTriggered: false }, { tripwireTriggered: true }]);
    expect(await dumpDatabase(app.app.runs)).not.toContain('pia@hidden.example.com');
  });

  test.each([
    [{ type: 'array' }, 'type'],
    [{ type: 'object', properties: { a: { type: 'strange' } } }, 'JSON Schema'],
    [{ type: 'object', $ref: '#/nowhere' }, 'not in it'],
    [{ type: 'object', properties: { a: { $ref: '#' } } }, 'itself'],
    [{ type: 'object', description: 'x'.repeat(70_000) }, '65536'],
    ['text', 'object'],
  ])('An agent is not saved with the schema %j', async (schema, why) => {
    const user = await openNewUser(app);
    const token = user.token;
    const document = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
    const input = { name: 'odd', instructions: 'Be odd.', outputSchema: schema };
    const { errors } = await app.query(document, { input }, { token });
    expect(errors[0]?.extensions?.code).toBe('BAD_USER_INPUT');
    expect(errors[0]?.message).toContain('input.outputSchema');
    expect(errors[0]?.message.replace(/\D?65,536\D?/, '65536')).toContain(why);
  });

  test('An update sets a schema and takes it away; other fields leave it as it is', async () => {
    const chat = await openStructured(app);
    const update =
      'mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { outputSchema } }';
    const change = async (input: Input) =>
      (await chat.ask(update, { id: chat.agentId, input })).updateAgent.outputSchema;
    expect(await change({ name: 'other' })).toEqual(outputSchema);
    expect(await change({ outputSchema: null })).toBeNull();
    const { run } = await chat.turn([{ text: 'Warm.' }]);
    expect(run.messages).toMatchObject([{ content: 'Warm.', data: null }]);
    expect(await change({ outputSchema })).toEqual(outputSchema);
  });
});

describe('Reasoning', () => {
  const step = { reasoning: ['I think', ' of Bonn.'], text: fitting };

  test('Reasoning is stored with its message for the tenants that the operator names, and for no other', async () => {
    const { run } = await (await openStructured(app, {}, 'globex')).turn([step]);
    expect(run.messages).toMatchObject([{ reasoning: 'I think of Bonn.', data: { city: 'Bonn' } }]);
    const other = await (await openStructured(app, {}, 'initech')).turn([step]);
    expect(other.run.messages).toMatchObject([{ reasoning: null, data: { city: 'Bonn' } }]);
  });

  test('Of an answer that was corrected, the reasoning of the last attempt is stored', async () => {
    const chat = await openStructured(app, {}, 'globex');
    const { run } = await chat.turn([{ reasoning: ['Wrong.'], text: 'no' }, step]);
    expect(run.messages).toMatchObject([{ reasoning: 'I think of Bonn.' }]);
  });

  test('Data and reasoning are deleted with their conversation, and nobody else reads them', async () => {
    const chat = await openStructured(app, { outputSchema: null }, 'thinkers');
    const { run } = await chat.turn([{ reasoning: ['A secret thought 4711.'], text: 'Warm.' }]);
    expect(await dumpDatabase(app.app.runs)).toContain('A secret thought 4711.');
    const stranger = await app.query(
      'query ($id: ID!) { node(id: $id) { ... on Message { reasoning } } }',
      { id: run.messages[0].id },
      { token: (await openNewUser(app, { tenant: 'thinkers' })).token },
    );
    expect(JSON.stringify(stranger)).not.toContain('4711');
    await chat.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: chat.conversationId });
    expect(await app.app.runs.db.messageDetails.count({ where: { tenantId: 'thinkers' } })).toBe(0);
  });
});
