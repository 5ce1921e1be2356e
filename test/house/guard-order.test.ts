import { beforeAll, describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';

// CONTRIBUTING, "Order of the guards": the rate limit, the input, the role, the owner. Each request violates a guard and all
// that follow it, so that the error shows which guard came first.

const app = shareApp();
const limited = shareApp({
  env: {
    RATE_LIMIT_AGENT_OPERATIONS: '1/600',
    RATE_LIMIT_AGENT_TESTS: '1/600',
    RATE_LIMIT_SPEECH: '1/600',
    RATE_LIMIT_TOOLS: '1/600',
  },
});

interface Ids {
  readonly agent: string;
  readonly scenario: string;
  readonly tool: string;
  readonly server: string;
  readonly conversation: string;
}

interface Guarded {
  readonly document: string;
  /** Variables whose input or id is invalid; all ids that can be valid are those of another tenant. */
  readonly invalid: (ids: Ids) => Record<string, unknown>;
  /** The same with a valid input. */
  readonly valid: (ids: Ids) => Record<string, unknown>;
  readonly isLimited: boolean;
  readonly isForAdmins: boolean;
  /** Whether it changes something that has an owner, or names it. */
  readonly hasOwner: boolean;
}

const scenarioInput = ({ agent }: Ids) => ({
  key: 'guard-order',
  name: 'Guarded',
  rootAgentId: agent,
  agents: [{ agentId: agent, handoffs: [] }],
});
const toolInput = {
  name: 'guarded_tool',
  description: 'A tool.',
  method: 'GET',
  url: 'https://tools.example.com/{id}',
  parameters: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] },
};
const agentInput = { name: 'guarded', instructions: 'Answer.' };
const operation = { isLimited: true, isForAdmins: false, hasOwner: true };
const adminOperation = { isLimited: true, isForAdmins: true, hasOwner: true };
const unlimited = { isLimited: false, isForAdmins: false, hasOwner: true };
const byId = (name: string, field: keyof Ids): Pick<Guarded, 'document' | 'invalid' | 'valid'> => ({
  document: `mutation ($id: ID!) { it: ${name}(id: $id)${name.startsWith('delete') ? '' : ' { id }'} }`,
  invalid: () => ({ id: 'no_id' }),
  valid: (ids) => ({ id: ids[field] }),
});
const byInput = (
  name: string,
  type: string,
  field: keyof Ids | null,
  input: (ids: Ids) => object,
): Pick<Guarded, 'document' | 'invalid' | 'valid'> => ({
  document:
    field === null
      ? `mutation ($input: ${type}!) { it: ${name}(input: $input) { id } }`
      : `mutation ($id: ID!, $input: ${type}!) { it: ${name}(id: $id, input: $input) { id } }`,
  invalid: (ids) => ({ ...(field !== null && { id: ids[field] }), input: { ...input(ids), [invalidField(type)]: '' } }),
  valid: (ids) => ({ ...(field !== null && { id: ids[field] }), input: input(ids) }),
});
const invalidField = (type: string) =>
  ({ CreateMessageInput: 'content', UpdateConversationInput: 'title' })[type] ?? 'name';

const guarded: Readonly<Record<string, Guarded>> = {
  createAgent: {
    ...byInput('createAgent', 'CreateAgentInput', null, () => ({ ...agentInput, isShared: true })),
    ...adminOperation,
    hasOwner: false,
  },
  updateAgent: { ...byInput('updateAgent', 'UpdateAgentInput', 'agent', () => agentInput), ...operation },
  deleteAgent: { ...byId('deleteAgent', 'agent'), ...operation },
  setDefaultAgent: { ...byId('setDefaultAgent', 'agent'), ...operation },
  testAgent: {
    document: 'mutation ($id: ID!, $prompt: String!) { it: testAgent(id: $id, prompt: $prompt) { ok } }',
    invalid: ({ agent }) => ({ id: agent, prompt: '' }),
    valid: ({ agent }) => ({ id: agent, prompt: 'Hello' }),
    ...operation,
  },
  createScenario: { ...byInput('createScenario', 'ScenarioInput', null, scenarioInput), ...adminOperation },
  updateScenario: { ...byInput('updateScenario', 'ScenarioInput', 'scenario', scenarioInput), ...adminOperation },
  restoreScenarioVersion: {
    document: `mutation ($id: ID!, $version: Int!) {
      it: restoreScenarioVersion(id: $id, version: $version, expectedVersion: 1) { id } }`,
    invalid: ({ scenario }) => ({ id: scenario, version: 0 }),
    valid: ({ scenario }) => ({ id: scenario, version: 1 }),
    ...adminOperation,
  },
  deleteScenario: { ...byId('deleteScenario', 'scenario'), ...adminOperation },
  createHttpTool: {
    ...byInput('createHttpTool', 'CreateHttpToolInput', null, () => toolInput),
    ...adminOperation,
    hasOwner: false,
  },
  updateHttpTool: { ...byInput('updateHttpTool', 'UpdateHttpToolInput', 'tool', () => toolInput), ...adminOperation },
  deleteHttpTool: { ...byId('deleteHttpTool', 'tool'), ...adminOperation },
  createMcpServer: {
    ...byInput('createMcpServer', 'CreateMcpServerInput', null, () => ({
      name: 'guarded',
      url: 'https://mcp.example.com/',
    })),
    ...adminOperation,
    hasOwner: false,
  },
  updateMcpServer: {
    ...byInput('updateMcpServer', 'UpdateMcpServerInput', 'server', () => ({ name: 'guarded' })),
    ...adminOperation,
  },
  deleteMcpServer: { ...byId('deleteMcpServer', 'server'), ...adminOperation },
  synthesizeSpeech: {
    document: 'mutation ($id: ID!, $text: String!) { it: synthesizeSpeech(agentId: $id, text: $text) { url } }',
    invalid: ({ agent }) => ({ id: agent, text: '' }),
    valid: ({ agent }) => ({ id: agent, text: 'Hello' }),
    ...operation,
  },
  createMessage: {
    ...byInput('createMessage', 'CreateMessageInput', null, ({ conversation }) => ({
      conversationId: conversation,
      role: 'USER',
      content: 'Hello',
    })),
    ...unlimited,
  },
  updateConversation: {
    ...byInput('updateConversation', 'UpdateConversationInput', 'conversation', () => ({ title: 'Other' })),
    ...unlimited,
  },
  deleteConversation: { ...byId('deleteConversation', 'conversation'), ...unlimited },
};

const cases = Object.entries(guarded);
/** Ids of another tenant, and ids that do not exist. */
let foreign: Ids;
const absent: Ids = {
  agent: 'agt_00000000-0000-4000-8000-000000000000',
  scenario: 'scn_00000000-0000-4000-8000-000000000000',
  tool: 'tool_00000000-0000-4000-8000-000000000000',
  server: 'mcp_00000000-0000-4000-8000-000000000000',
  conversation: 'conv_00000000-0000-4000-8000-000000000000',
};

beforeAll(async () => {
  const token = await app.token({ sub: 'eve', tenant: 'other', roles: ['admin'] });
  const create = async (document: string, variables: Record<string, unknown>): Promise<string> => {
    const { data, errors } = await app.query(document, variables, { token });
    expect(errors).toEqual([]);
    return data.it.id;
  };
  const agent = await create(guarded.createAgent?.document ?? '', { input: { ...agentInput, isShared: true } });
  const ids = { ...absent, agent };
  foreign = {
    agent,
    scenario: await create(guarded.createScenario?.document ?? '', { input: scenarioInput(ids) }),
    tool: await create(guarded.createHttpTool?.document ?? '', { input: toolInput }),
    server: await create(guarded.createMcpServer?.document ?? '', {
      input: { name: 'guarded', url: 'https://mcp.example.com/' },
    }),
    conversation: await create('mutation { it: createConversation { id } }', {}),
  };
});

/** The first error of a request: its code, and its message. */
async function attempt(
  on: typeof app,
  { document }: Guarded,
  variables: Record<string, unknown>,
  roles: readonly string[] = [],
) {
  const { errors } = await on.query(document, variables, { token: await on.token({ sub: 'mallory', roles }) });
  return { code: errors[0]?.extensions.code, message: errors[0]?.message };
}

describe('The order of the guards', () => {
  test.each(cases.filter(([, { isLimited }]) => isLimited))(
    'The rate limit of %s comes before its input, the role and the owner.',
    async (_name, mutation) => {
      // The first request may take the only point, if no earlier one did.
      await attempt(limited, mutation, mutation.invalid(absent));
      expect(await attempt(limited, mutation, mutation.invalid(absent))).toMatchObject({ code: 'RATE_LIMITED' });
    },
  );

  test.each(cases)('The input of %s comes before the role and the owner.', async (_name, mutation) => {
    expect(await attempt(app, mutation, mutation.invalid(foreign))).toMatchObject({ code: 'BAD_USER_INPUT' });
  });

  test.each(cases.filter(([, { isForAdmins }]) => isForAdmins))(
    'The role for %s comes before the owner.',
    async (_name, mutation) => {
      const message = expect.stringContaining('Only an admin of your tenant may');
      expect(await attempt(app, mutation, mutation.valid(foreign))).toEqual({ code: 'FORBIDDEN', message });
      expect(await attempt(app, mutation, mutation.valid(absent))).toEqual({ code: 'FORBIDDEN', message });
    },
  );

  test.each(cases.filter(([, { hasOwner }]) => hasOwner))(
    'For %s, an object of somebody else is FORBIDDEN and an absent one NOT_FOUND.',
    async (_name, mutation) => {
      const message = expect.stringContaining('You may not use');
      expect(await attempt(app, mutation, mutation.valid(foreign), ['admin'])).toEqual({ code: 'FORBIDDEN', message });
      expect(await attempt(app, mutation, mutation.valid(absent), ['admin'])).toMatchObject({ code: 'NOT_FOUND' });
    },
  );
});
