import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';
import { record, startSession, user } from '../realtime/support.ts';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';
import { dumpDatabase } from '../support/database/dump.ts';
import { addProject } from '../support/projects.ts';
import { listSelections } from './field-paths.ts';
import { type IdPlace, listIdPlaces, type OtherValues, writeDocument } from './id-places.ts';
import { kindOf } from './kinds.ts';

// What is left to whoever was a member of a project: conversations, turns and calls in it are still theirs.

let graph: Graph;
let owner: TestViewer;
let admin: TestViewer;
let leaver: TestViewer;
let shop: string;
const marker = 'private-7d21';

beforeAll(async () => {
  graph = await openGraph({ RATE_LIMIT_REALTIME: '0', RATE_LIMIT_TOOLS: '0', RATE_LIMIT_AGENT_OPERATIONS: '0' });
  owner = await graph.viewer('owner');
  leaver = await graph.viewer('leaver');
  admin = await graph.viewer('root', 'acme', ['admin']);
  shop = await addProject(graph.db, 'shop', { owner: 'OWNER', leaver: 'EDITOR' });
});
afterAll(() => graph[Symbol.asyncDispose]());

async function ask(viewer: TestViewer, document: string, variables: Record<string, unknown> = {}) {
  const { data, errors } = await graph.query(viewer, document, variables);
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  return data;
}
const setRole = (role: 'EDITOR' | 'VIEWER' | null) =>
  role === null
    ? ask(owner, `mutation { removeProjectMember(projectId: "shop", userId: "leaver") { id } }`)
    : ask(owner, `mutation { setProjectMember(projectId: "shop", userId: "leaver", role: ${role}) { id } }`);
const setArchived = (to: boolean) =>
  ask(owner, 'mutation ($to: Boolean!) { updateProject(id: "shop", input: { isArchived: $to }) { id } }', { to });

/** A conversation of the leaver in the project, with a turn, a call by voice, and whatever of the project it leads to. */
async function talkInProject() {
  const key = `s${randomUUID().slice(0, 8)}`;
  const { createAgent } = await ask(
    leaver,
    'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }',
    {
      input: { name: `a${key}`, instructions: marker, description: marker, projectId: shop, tools: ['current_time'] },
    },
  );
  const agentId = createAgent.id;
  const guardrails = [{ name: 'g', stages: ['INPUT'], check: { patterns: [marker] } }];
  await ask(admin, 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }', {
    input: {
      ...{ key, name: marker, description: marker, projectId: shop, rootAgentId: agentId, guardrails },
      agents: [{ agentId, handoffs: [] }],
      orchestration: { mode: 'OFF', instructions: marker },
    },
  });
  const { createConversation } = await ask(
    leaver,
    'mutation ($input: CreateConversationInput) { createConversation(input: $input) { id } }',
    { input: { projectId: shop, scenarioKey: key } },
  );
  const conversationId: string = createConversation.id;
  graph.app.model.add({ calls: [{ name: 'current_time', arguments: {} }] }, { text: 'It is late.' });
  const { sendMessage } = await ask(
    leaver,
    `mutation ($input: ChatTurnInput!) {
      sendMessage(input: $input) { id messages { id } userMessage { id } toolCalls { id } }
    }`,
    { input: { conversationId, content: 'Hello', idempotencyKey: randomUUID() } },
  );
  const session = await startSession(graph, leaver, { scenarioKey: key, conversationId });
  const llm = { provider: 'openai', model: marker, apiKey: `sk-${marker}` };
  await ask(leaver, 'mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { id } }', {
    id: agentId,
    input: { llm },
  });
  const ids: Readonly<Record<string, string>> = {
    Conversation: conversationId,
    Message: sendMessage.messages[0].id,
    Run: sendMessage.id,
    ToolCall: sendMessage.toolCalls[0].id,
    RealtimeSession: session.id,
  };
  return { ids, agentId, key, userMessageId: String(sendMessage.userMessage.id) };
}

describe('Whoever has left a project', () => {
  test('A former member reads nothing of the project through any field of what is still theirs', async () => {
    const { ids } = await talkInProject();
    const read = async (names: readonly string[]) => {
      const shown: string[] = [];
      for (const name of names) {
        const root = name === 'RealtimeSession' ? 'realtimeSession' : 'node';
        for (const some of Map.groupBy(listSelections(schema, name), (_, index) => Math.floor(index / 8)).values()) {
          const parts = some.map(
            (selection, index) => `p${index}: ${root}(id: $id) { ... on ${name} { ${selection} } }`,
          );
          const { data, errors } = await graph.query(leaver, `query ($id: ID!) { ${parts.join('\n')} }`, {
            id: ids[name],
          });
          expect(errors.filter(({ code }) => code !== 'FORBIDDEN')).toEqual([]);
          shown.push(...some.filter((_, index) => JSON.stringify(data[`p${index}`] ?? null).includes(marker)));
        }
      }
      return shown;
    };
    // A member reads it all on the same ways.
    expect((await read(['Conversation'])).length).toBeGreaterThan(6);
    await setRole(null);
    expect(await read(Object.keys(ids))).toEqual([]);
    const agent = 'name instructions description guardrails { name } llm { model apiKeyHint }';
    const { conversation } = await ask(
      leaver,
      `query ($id: ID!) { conversation(id: $id) { activeAgent { ${agent} } } }`,
      {
        id: ids.Conversation,
      },
    );
    expect(conversation.activeAgent).toEqual({
      name: expect.stringMatching(/^as/),
      ...{ instructions: '', description: null, guardrails: [], llm: { model: 'test-model', apiKeyHint: null } },
    });
    await setRole('EDITOR');
  });
});

/** What stays possible in conversations of a project without the role EDITOR in it. */
const allowed: Readonly<Record<string, string>> = {
  'Mutation.updateConversation(id)': 'It is renamed; another agent needs the role.',
  'Mutation.deleteConversation(id)': 'It is its user’s.',
  'Mutation.cancelRun(id)': 'It ends a turn.',
  'Mutation.endRealtimeSession(id)': 'It ends a call.',
  'Mutation.unshareConversation(id)': 'It ends a link.',
  'Mutation.exportConversation(id)': 'It makes a file of what its user may read.',
  'Mutation.setFeedback(messageId)': 'It rates what its user was answered.',
  'Mutation.saveDraft(input.conversationId)': 'A draft of a conversation belongs to no project.',
};
const ofConversations = new Set(['Conversation', 'Message', 'Run', 'ToolCall', 'RealtimeSession']);
const acts = listIdPlaces(schema).places.filter(
  // A new conversation is in no project, or is begun as with createConversation.
  (place) =>
    !place.path.includes('newConversation') &&
    place.field !== 'createConversation' &&
    (place.root === 'mutation' || place.field === 'chatTurn') &&
    ofConversations.has(kindOf(place) ?? ''),
);

describe('In a conversation of a project', () => {
  test('Each operation is known, and either needs the role EDITOR or is allowed for a reason', () => {
    const names = new Set(acts.map(({ at }) => at));
    expect(Object.keys(allowed).filter((at) => !names.has(at))).toEqual([]);
    expect(names.size).toBeGreaterThan(14);
  });

  test('Nothing happens any more through a former member, a VIEWER, or anybody if it is archived', async () => {
    const { ids, key, userMessageId } = await talkInProject();
    const texts: Readonly<Record<string, () => unknown>> = {
      ...{ scenarioKey: () => key, idempotencyKey: randomUUID, name: () => 'current_time', arguments: () => ({}) },
      role: () => 'USER',
    };
    const others: OtherValues = {
      text: (name) => texts[name]?.(),
      id: (path) => ids[kindOf({ field: '', path }) ?? ''] ?? '',
    };
    async function codesOf(place: IdPlace) {
      const id = place.path.includes('editMessageId') ? userMessageId : (ids[kindOf(place) ?? ''] ?? '');
      const { document, variables } = writeDocument(schema, place, id, others);
      if (place.root !== 'subscription')
        return (await graph.query(leaver, document, variables)).errors.map(({ code }) => code);
      for await (const { errors = [] } of graph.app.ws(leaver.token).iterate({ query: document, variables }))
        return errors.map(({ extensions }) => extensions?.code);
      return [];
    }
    const tryAll = async (expected: readonly string[]) => {
      const before = await dumpDatabase(graph);
      const wrong: unknown[] = [];
      for (const place of acts.filter(({ at }) => allowed[at] === undefined)) {
        const codes = await codesOf(place);
        if (JSON.stringify(codes) !== JSON.stringify(expected)) wrong.push({ at: place.at, codes });
      }
      expect(wrong).toEqual([]);
      expect(await dumpDatabase(graph)).toBe(before);
    };
    await setRole('VIEWER');
    await tryAll(['FORBIDDEN']);
    await setRole(null);
    await tryAll(['FORBIDDEN']);
    await setRole('EDITOR');
    await setArchived(true);
    await tryAll(['CONFLICT']);
    await setArchived(false);
    const again = await record(graph, leaver, ids.RealtimeSession ?? '', user('i1', 'I am back.'));
    expect(again.errors).toEqual([]);
  });
});
