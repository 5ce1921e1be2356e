import { describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';

// A user without roles makes agents that use the operator's provider and key. The model server records what it receives.

const app = shareApp({ env: { MODELS_ALLOWED: 'test-model, other-model', OPENAI_API_KEY: 'sk-of-the-operator' } });

const createAgent = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
const updateAgent =
  'mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { id llm { model } } }';
const createConversation = 'mutation ($input: CreateConversationInput) { createConversation(input: $input) { id } }';
const sendMessage = 'mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { status error { code } } }';

let count = 0;
const agentWith = (llm: object) => ({ name: `agent ${++count}`, instructions: 'Answer.', llm });
/** The operator's provider: without an address, it is that of the environment. */
const operatorLlm = (rest: object = {}) => ({ provider: 'demo', model: 'test-model', ...rest });

async function create(llm: object): Promise<string> {
  const { data, errors } = await app.query(createAgent, { input: agentWith(llm) });
  expect(errors).toEqual([]);
  return data.createAgent.id;
}

/** Has an agent answer a turn, and returns the first error of it. */
async function ask(agentId: string, turn: object = {}) {
  const created = await app.query(createConversation, { input: { agentId } });
  expect(created.errors).toEqual([]);
  const conversationId: string = created.data.createConversation.id;
  const input = { conversationId, content: 'Hello', idempotencyKey: `key ${++count}`, ...turn };
  return app.query(sendMessage, { input });
}

describe('What a user can do with the operator’s key', () => {
  test('A model that the operator does not allow is refused when an agent is created or changed.', async () => {
    const { errors } = await app.query(createAgent, { input: agentWith(operatorLlm({ model: 'dear-model' })) });
    expect(errors).toMatchObject([
      { message: expect.stringContaining('input.llm.model'), extensions: { code: 'BAD_USER_INPUT' } },
    ]);
    const id = await create(operatorLlm());
    const changed = await app.query(updateAgent, { id, input: { llm: operatorLlm({ model: 'dear-model' }) } });
    expect(changed.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
    const other = await app.query(updateAgent, { id, input: { llm: operatorLlm({ model: 'other-model' }) } });
    expect(other.errors).toEqual([]);
  });

  test('An agent with a key of its own may have any model, and loses it with the key.', async () => {
    const unchanged = operatorLlm({ model: 'dear-model' });
    const id = await create({ ...unchanged, apiKey: 'sk-of-the-user' });
    app.model.add({ text: 'Yes', expect: ({ model }) => expect(model).toBe('dear-model') });
    expect((await ask(id)).data.sendMessage).toEqual({ status: 'COMPLETED', error: null });
    // With the stored key it may stay as it is, and without it it may not.
    expect((await app.query(updateAgent, { id, input: { llm: unchanged } })).errors).toEqual([]);
    const { errors } = await app.query(updateAgent, { id, input: { llm: { ...unchanged, apiKey: '' } } });
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
  });

  test('A turn cannot choose a model that the operator does not allow, nor can the settings of a user.', async () => {
    const id = await create(operatorLlm());
    const refused = await ask(id, { model: 'dear-model' });
    expect(refused.errors).toMatchObject([
      { message: expect.stringContaining('input.model'), extensions: { code: 'BAD_USER_INPUT' } },
    ]);
    app.model.add({ text: 'Yes', expect: ({ model }) => expect(model).toBe('other-model') });
    expect((await ask(id, { model: 'other-model' })).errors).toEqual([]);

    const set = 'mutation ($input: UpdateChatSettingsInput!) { updateChatSettings(input: $input) { model } }';
    expect((await app.query(set, { input: { model: 'dear-model' } })).errors).toEqual([]);
    expect((await ask(id)).errors).toMatchObject([
      { message: expect.stringContaining('dear-model'), extensions: { code: 'CONFLICT' } },
    ]);
    expect((await app.query(set, { input: { model: null } })).errors).toEqual([]);
  });

  test.each(['stream_options', 'store', 'service_tier', 'prompt', 'user', 'metadata'])(
    'The option %s is always the server’s, also with a key of the agent’s own.',
    async (name) => {
      for (const apiKey of [null, 'sk-of-the-user']) {
        const llm = operatorLlm({ apiKey, options: { [name]: { any: 'value' } } });
        const { errors } = await app.query(createAgent, { input: agentWith(llm) });
        expect(errors).toMatchObject([
          { message: expect.stringContaining(`input.llm.options.${name}`), extensions: { code: 'BAD_USER_INPUT' } },
        ]);
      }
    },
  );

  test.each([{ web_search_options: {} }, { extra_unknown: 1 }, { max_tokens: null }, { max_tokens: 10_000_000 }])(
    'Options %j are refused with the operator’s key and accepted with a key of the agent’s own.',
    async (options) => {
      const { errors } = await app.query(createAgent, { input: agentWith(operatorLlm({ options })) });
      expect(errors).toMatchObject([
        { message: expect.stringContaining('input.llm.options'), extensions: { code: 'BAD_USER_INPUT' } },
      ]);
      await create(operatorLlm({ apiKey: 'sk-of-the-user', options }));
    },
  );

  test('What an older row holds is not sent with the operator’s key.', async () => {
    const id = await create(operatorLlm({ options: { temperature: 0.2, seed: 7 } }));
    const options = {
      ...{ stream_options: null, store: true, service_tier: 'priority', prompt: { id: 'p' }, user: 'u', metadata: {} },
      ...{ web_search_options: {}, max_tokens: 10_000_000, max_completion_tokens: null, seed: 7 },
    };
    const row = id.replace('agt_', '');
    await app.app.db.agent.update({ where: { id: row }, data: { llm: { ...operatorLlm(), options } } });
    app.app.runs.agents.config.drop('acme');
    app.model.add({
      text: 'Yes',
      expect: ({ body }) => {
        expect(body).toMatchObject({ seed: 7, max_tokens: 32_000, stream_options: { include_usage: true } });
        for (const name of ['store', 'service_tier', 'prompt', 'user', 'metadata', 'web_search_options']) {
          expect(body).not.toHaveProperty(name);
        }
      },
    });
    expect((await ask(id)).data.sendMessage).toEqual({ status: 'COMPLETED', error: null });
  });

  test('The development agent, which stores the operator’s key as its own, has no other models either.', async () => {
    const { id } = await app.app.db.agent.findFirstOrThrow({
      where: { tenantId: 'acme', isDevelopment: true },
      include: { secrets: true },
    });
    const refused = await ask(`agt_${id}`, { model: 'dear-model' });
    expect(refused.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
  });

  test('An older row with a model that the operator does not allow answers no turn, and says why.', async () => {
    const id = await create(operatorLlm());
    const llm = operatorLlm({ model: 'dear-model' });
    await app.app.db.agent.update({ where: { id: id.replace('agt_', '') }, data: { llm } });
    app.app.runs.agents.config.drop('acme');
    expect((await ask(id)).errors).toMatchObject([
      { message: expect.stringContaining('"dear-model"'), extensions: { code: 'CONFLICT' } },
    ]);
  });
});
