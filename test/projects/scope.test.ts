import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { addProject } from '../support/projects.ts';

const app = shareApp();

type Who = 'owner' | 'editor' | 'viewer' | 'nobody' | 'admin';
let users: Record<Who, SocketClient>;
let project: string;
let other: string;

beforeAll(async () => {
  const { db } = app.app;
  project = await addProject(db, 'shop', { owner: 'OWNER', editor: 'EDITOR', viewer: 'VIEWER' });
  other = await addProject(db, 'other', { editor: 'EDITOR' });
  users = {
    owner: await openSocketClient(app, 'owner'),
    editor: await openSocketClient(app, 'editor'),
    viewer: await openSocketClient(app, 'viewer'),
    nobody: await openSocketClient(app, 'nobody'),
    admin: await openSocketClient(app, { sub: 'root', roles: ['admin'] }),
  };
  for (const user of Object.values(users)) await user.ask('{ viewer { userId } }');
});

const createConversation = `mutation ($input: CreateConversationInput!) {
  createConversation(input: $input) { id project { id key name } activeAgent { name } } }`;
const createAgent = `mutation ($input: CreateAgentInput!) {
  createAgent(input: $input) { id isShared project { key } } }`;
const updateAgent = 'mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { name } }';
const set = `mutation ($id: ID!, $userId: String!, $role: ProjectRole!) {
  setProjectMember(projectId: $id, userId: $userId, role: $role) { id } }`;
const remove = `mutation ($id: ID!, $userId: String!) { removeProjectMember(projectId: $id, userId: $userId) { id } }`;

const codesOf = async (user: SocketClient, document: string, variables: Record<string, unknown> = {}) =>
  (await app.query(document, variables, { token: user.token })).errors.map(({ extensions }) => extensions.code);
const newAgent = async (user: SocketClient, input: Record<string, unknown>): Promise<string> =>
  (await user.ask(createAgent, { input: { name: `a${randomUUID()}`, instructions: 'Hi.', ...input } })).createAgent.id;
const begin = async (user: SocketClient, input: Record<string, unknown>): Promise<string> =>
  (await user.ask(createConversation, { input })).createConversation.id;
const startRun = 'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }';
const turnOf = (conversationId: string) => ({
  input: { conversationId, content: 'Hello', idempotencyKey: randomUUID() },
});

describe('conversations of a project', () => {
  test('An editor begins one by the id or the key, and both give the object', async () => {
    for (const projectId of [project, 'shop']) {
      const { createConversation: made } = await users.editor.ask(createConversation, { input: { projectId } });
      expect(made.project).toEqual({ id: project, key: 'shop', name: 'The project shop' });
    }
    expect(await codesOf(users.nobody, createConversation, { input: { projectId: project } })).toEqual(['FORBIDDEN']);
    expect(await codesOf(users.viewer, createConversation, { input: { projectId: 'shop' } })).toEqual(['FORBIDDEN']);
    expect(await codesOf(users.editor, createConversation, { input: { projectId: 'absent' } })).toEqual(['NOT_FOUND']);
  });

  test('A list of a project has its conversations alone, in each order and in the fast and the usual form', async () => {
    const inside = await begin(users.owner, { projectId: 'shop', title: 'Inside' });
    const outside = await begin(users.owner, { title: 'Outside' });
    const nodes = 'totalCount edges { node { id } }';
    for (const args of [
      'projectId: "shop"',
      `projectId: "${project}", search: "side"`,
      'projectId: "shop", orderBy: { field: TITLE, direction: ASC }',
    ]) {
      for (const more of ['', ' __typename ... @include(if: true) { edges { node { project { key } } } }']) {
        const { conversations } = await users.owner.ask(`{ conversations(${args}) { ${nodes}${more} } }`);
        expect(conversations.totalCount).toBe(1);
        expect(conversations.edges).toMatchObject([{ node: { id: inside } }]);
      }
    }
    const { conversations } = await users.owner.ask(`{ conversations { ${nodes} } }`);
    const ids = conversations.edges.map(({ node }: { node: { id: string } }) => node.id);
    expect(ids).toEqual(expect.arrayContaining([inside, outside]));
    expect(await codesOf(users.nobody, '{ conversations(projectId: "shop") { totalCount } }')).toEqual(['FORBIDDEN']);
    expect(await codesOf(users.owner, '{ conversations(projectId: "absent") { totalCount } }')).toEqual(['NOT_FOUND']);
  });

  test('Whoever is removed keeps reading, renaming and deleting, and starts no turn, from the next one on', async () => {
    const leaver = await openSocketClient(app, 'leaver');
    await users.owner.ask(set, { id: project, userId: 'leaver', role: 'EDITOR' });
    const agentId = await newAgent(users.editor, { projectId: 'shop', instructions: 'Secret prices.' });
    const conversationId = await begin(leaver, { projectId: 'shop', agentId });
    app.model.add({ text: 'Welcome.' });
    await leaver.chatTurn('ws', { conversationId }).rest();
    await users.owner.ask(remove, { id: project, userId: 'leaver' });

    expect(await codesOf(leaver, startRun, turnOf(conversationId))).toEqual(['FORBIDDEN']);
    const read = `query ($id: ID!) { conversation(id: $id) { project { key } messages { edges { node { content agent { name instructions } } } } } }`;
    const { conversation } = await leaver.ask(read, { id: conversationId });
    expect(conversation.project).toBeNull();
    // The agent is named, and what it is now is for the members.
    expect(conversation.messages.edges[1].node.agent).toEqual({ name: expect.stringMatching(/^a/), instructions: '' });
    expect(conversation.messages.edges.map(({ node }: { node: { content: string } }) => node.content)).toEqual([
      'Hello',
      'Welcome.',
    ]);
    const rename = `mutation ($id: ID!) { updateConversation(id: $id, input: { title: "Old" }) { title } }`;
    expect((await leaver.ask(rename, { id: conversationId })).updateConversation.title).toBe('Old');
    const change = `mutation ($id: ID!) { updateConversation(id: $id, input: { agentId: null }) { title } }`;
    expect(await codesOf(leaver, change, { id: conversationId })).toEqual(['FORBIDDEN']);

    await users.owner.ask(set, { id: project, userId: 'leaver', role: 'EDITOR' });
    app.model.add({ text: 'Again.' });
    await leaver.chatTurn('ws', { conversationId }).rest();
    await leaver.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: conversationId });
  });

  test('In an archived project everything is read and nothing is written', async () => {
    const id = await addProject(app.app.db, 'archived', { editor: 'EDITOR', owner: 'OWNER' });
    const conversationId = await begin(users.editor, { projectId: id });
    const archive = `mutation ($id: ID!, $to: Boolean!) { updateProject(id: $id, input: { isArchived: $to }) { id } }`;
    await users.owner.ask(archive, { id, to: true });
    expect(await codesOf(users.editor, startRun, turnOf(conversationId))).toEqual(['CONFLICT']);
    expect(await codesOf(users.editor, createConversation, { input: { projectId: id } })).toEqual(['CONFLICT']);
    expect(await codesOf(users.admin, createConversation, { input: { projectId: id } })).toEqual(['CONFLICT']);
    await users.editor.ask('query ($id: ID!) { conversation(id: $id) { project { isArchived } } }', {
      id: conversationId,
    });
    await users.owner.ask(archive, { id, to: false });
    app.model.add({ text: 'Back.' });
    await users.editor.chatTurn('ws', { conversationId }).rest();
  });

  test('A turn in a project takes at most one statement more than one in none, and the next one takes none', async () => {
    const statementsOf = async (conversationId: string) => {
      app.model.add({ text: 'Fine.' });
      const requestId = randomUUID();
      const answer = await app.query(startRun, turnOf(conversationId), {
        token: users.editor.token,
        headers: { 'x-request-id': requestId },
      });
      expect(answer.errors).toEqual([]);
      await users.editor.runEvents('ws', answer.data.startRun.id).rest();
      const line = app.logs.find((entry) => entry.requestId === requestId && entry.statements !== undefined);
      return Number(line?.statements);
    };
    const [inside, outside] = [await begin(users.editor, { projectId: 'shop' }), await begin(users.editor, {})];
    // Both are warm, apart from what is read of the project.
    const usual = await statementsOf(outside);
    const next = await statementsOf(outside);
    expect(await statementsOf(inside)).toBeLessThanOrEqual(usual + 1);
    expect(await statementsOf(inside)).toBe(next);
  });
});

describe('agents of a project', () => {
  test('Its members see it, in no list but theirs, and its editors change it', async () => {
    const input = { name: 'seller', instructions: 'Sell.', projectId: 'shop' };
    const { createAgent: made } = await users.editor.ask(createAgent, { input });
    expect(made).toMatchObject({ isShared: true, project: { key: 'shop' } });
    const { id } = made;
    const read = 'query ($id: ID!) { agent(id: $id) { instructions } }';
    const listed = async (user: SocketClient) => {
      const { agents } = await user.ask('{ agents(first: 100) { totalCount edges { node { id } } } }');
      expect(agents.totalCount).toBe(agents.edges.length);
      return agents.edges.some(({ node }: { node: { id: string } }) => node.id === id);
    };
    for (const who of ['owner', 'editor', 'viewer', 'admin'] as const) {
      expect((await users[who].ask(read, { id })).agent.instructions).toBe('Sell.');
      expect(await listed(users[who])).toBe(true);
    }
    expect(await listed(users.nobody)).toBe(false);
    for (const document of [
      read,
      'query ($id: ID!) { node(id: $id) { id } }',
      'mutation ($id: ID!) { deleteAgent(id: $id) }',
      'mutation ($id: ID!) { setDefaultAgent(id: $id) { id } }',
      'mutation ($id: ID!) { testAgent(id: $id, prompt: "Hi") { ok } }',
      'mutation ($id: ID!) { createConversation(input: { agentId: $id }) { id } }',
      'mutation ($id: ID!) { updateChatSettings(input: { enabledAgents: [$id] }) { id } }',
      'mutation ($id: ID!) { synthesizeSpeech(agentId: $id, text: "Hi") { url } }',
    ])
      expect([document, await codesOf(users.nobody, document, { id })]).toEqual([document, ['FORBIDDEN']]);
    expect(await codesOf(users.viewer, updateAgent, { id, input: { name: 'x' } })).toEqual(['FORBIDDEN']);
    await users.owner.ask(updateAgent, { id, input: { name: 'seller two' } });
    expect(await codesOf(users.viewer, createAgent, { input })).toEqual(['FORBIDDEN']);
    expect(await codesOf(users.nobody, createAgent, { input })).toEqual(['FORBIDDEN']);
    expect(await codesOf(users.editor, createAgent, { input: { ...input, projectId: 'absent' } })).toEqual([
      'NOT_FOUND',
    ]);
  });

  test('Its name is unique in the project, and it can be neither the default agent nor shared by all', async () => {
    const input = { name: 'twin', instructions: 'Hi.', projectId: 'shop' };
    const id = await newAgent(users.editor, input);
    await newAgent(users.editor, { ...input, projectId: 'other' });
    await newAgent(users.editor, { name: 'twin', instructions: 'Hi.' });
    expect(await codesOf(users.editor, createAgent, { input })).toEqual(['CONFLICT']);
    for (const more of [{ isDefault: true }, { isShared: true }])
      expect(await codesOf(users.admin, createAgent, { input: { ...input, name: 'x', ...more } })).toEqual([
        'BAD_USER_INPUT',
      ]);
    expect(await codesOf(users.admin, 'mutation ($id: ID!) { setDefaultAgent(id: $id) { id } }', { id })).toEqual([
      'BAD_USER_INPUT',
    ]);
  });

  test('It answers in conversations of the project, and in no other, also by agentId of a turn', async () => {
    const agentId = await newAgent(users.editor, { projectId: 'shop' });
    for (const input of [{ agentId }, { agentId, projectId: other }])
      expect(await codesOf(users.editor, createConversation, { input })).toEqual(['BAD_USER_INPUT']);
    const conversationId = await begin(users.editor, { agentId, projectId: 'shop' });
    app.model.add({ text: 'For the shop.' });
    await users.editor.chatTurn('ws', { conversationId }).rest();

    const outside = await begin(users.editor, {});
    const turn = turnOf(outside);
    expect(await codesOf(users.editor, startRun, { input: { ...turn.input, agentId } })).toEqual(['BAD_USER_INPUT']);
    const change = `mutation ($id: ID!, $agentId: ID!) { updateConversation(id: $id, input: { agentId: $agentId }) { id } }`;
    expect(await codesOf(users.editor, change, { id: outside, agentId })).toEqual(['BAD_USER_INPUT']);
  });

  test('A scenario has agents of its own project and shared ones, and none of another project', async () => {
    const [own, foreign] = [
      await newAgent(users.editor, { projectId: 'shop' }),
      await newAgent(users.editor, { projectId: 'other' }),
    ];
    const createScenario = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id project { key } } }';
    const inputOf = (agentId: string, more: Record<string, unknown> = {}) => ({
      input: { key: `k${randomUUID()}`, name: 'S', rootAgentId: agentId, agents: [{ agentId, handoffs: [] }], ...more },
    });
    expect(await codesOf(users.admin, createScenario, inputOf(own))).toEqual(['BAD_USER_INPUT']);
    expect(await codesOf(users.admin, createScenario, inputOf(foreign, { projectId: 'shop' }))).toEqual([
      'BAD_USER_INPUT',
    ]);
    const { createScenario: made } = await users.admin.ask(createScenario, inputOf(own, { projectId: 'shop' }));
    expect(made.project).toEqual({ key: 'shop' });
    const judged = {
      guardrails: [{ name: 'g', stages: ['INPUT'], check: { classifier: { agentId: foreign, question: 'Bad?' } } }],
    };
    expect(await codesOf(users.admin, createScenario, inputOf(own, { projectId: 'shop', ...judged }))).toEqual([
      'BAD_USER_INPUT',
    ]);
    const read = 'query ($id: ID!) { scenario(id: $id) { id projectId } }';
    expect((await users.viewer.ask(read, { id: made.id })).scenario).toEqual({ id: made.id, projectId: 'shop' });
    expect(await codesOf(users.nobody, read, { id: made.id })).toEqual(['FORBIDDEN']);
    const { scenarios } = await users.nobody.ask('{ scenarios(first: 100) { totalCount edges { node { id } } } }');
    expect(scenarios.edges.map(({ node }: { node: { id: string } }) => node.id)).not.toContain(made.id);
    expect(scenarios.totalCount).toBe(scenarios.edges.length);
  });
});
