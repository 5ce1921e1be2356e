import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';

/** What a test says in a session. */
export interface SaidItem {
  readonly itemId: string;
  readonly role: 'USER' | 'ASSISTANT' | 'SYSTEM';
  readonly content: string;
  readonly agentName?: string;
  readonly at?: string;
}

export const startDocument = `mutation ($input: StartRealtimeSessionInput!) { startRealtimeSession(input: $input) {
  id ephemeralKey expiresAt endsAt endedAt model voice scenarioVersion activeAgent { name }
  conversation { id title lastEventSeq activeAgent { name } }
  initialAgents { name instructions handoffDescription voice transferTool handoffs tools { name requiresApproval } }
  guardrails { name }
} }`;

export const recordDocument = `mutation ($sessionId: ID!, $items: [RealtimeItemInput!]!) {
  recordRealtimeItems(sessionId: $sessionId, items: $items) {
    id position role content status source agent { name } routingDecision { reasoning rootAgent { name } }
    guardrailResults { guardrail stage tripwireTriggered }
  } }`;

const conversationDocument = `query ($id: ID!) { conversation(id: $id) {
  title messageCount activeAgent { name } lastMessage { content }
  messages { edges { node { id position role content status source agent { name } } } } } }`;

/** Starts a session of a scenario. @throws if that does not work */
export async function startSession(graph: Graph, viewer: TestViewer, input: object = {}) {
  const { data, errors } = await graph.query(viewer, startDocument, { input: { scenarioKey: 'support', ...input } });
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  return data.startRealtimeSession;
}

/** Records items. */
export function record(graph: Graph, viewer: TestViewer, sessionId: string, ...items: SaidItem[]) {
  return graph.query(viewer, recordDocument, { sessionId, items });
}

interface ShownMessage {
  readonly id: string;
  readonly position: number;
  readonly role: string;
  readonly content: string;
  readonly status: string;
  readonly source: string;
  readonly agent: { readonly name: string } | null;
}

interface ShownConversation {
  readonly title: string;
  readonly messageCount: number;
  readonly activeAgent: { readonly name: string };
  readonly lastMessage: { readonly content: string } | null;
  readonly messages: readonly ShownMessage[];
  readonly texts: readonly string[];
}

/** Something that the user says. */
export const user = (itemId: string, content: string, more: object = {}): SaidItem => ({
  itemId,
  role: 'USER',
  content,
  ...more,
});

/** Something that an agent says. */
export const agent = (itemId: string, content: string, more: object = {}): SaidItem => ({
  itemId,
  role: 'ASSISTANT',
  content,
  ...more,
});

/** Sends a turn, and returns the texts that the model was given. */
export async function sendTurn(
  graph: Graph,
  viewer: TestViewer,
  conversationId: string,
  content: string,
): Promise<string[]> {
  let given: string[] = [];
  graph.app.model.add({
    text: 'Fine.',
    expect: ({ messages }) => {
      given = messages.map((item) => `${item.role}: ${'content' in item ? item.content : item.output}`);
    },
  });
  const { data, errors } = await graph.query(
    viewer,
    'mutation ($input: ChatTurnInput!) { sendMessage(input: $input) { status } }',
    { input: { conversationId, content, idempotencyKey: randomUUID() } },
  );
  if (data?.sendMessage.status !== 'COMPLETED') throw new Error(JSON.stringify({ data, errors }));
  return given;
}

/** Creates a scenario of the tenant, as an admin. @throws if that does not work */
export async function createScenario(graph: Graph, viewer: TestViewer, key: string, members: string[], more: object) {
  const { data } = await graph.query(viewer, '{ agents(first: 100) { edges { node { id name } } } }');
  const nodes: { id: string; name: string }[] = data.agents.edges.map(({ node }: { node: unknown }) => node);
  const agents = members.map((name) => ({ agentId: nodes.find((node) => node.name === name)?.id, handoffs: [] }));
  const input = { key, name: key, rootAgentId: agents[0]?.agentId, agents, ...more };
  const token = await graph.app.token({ sub: 'boss', roles: ['admin'] });
  const create = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }';
  const { errors } = await graph.app.query(create, { input }, { token });
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
}

/** The conversation of a session, as its user reads it. */
export async function readConversation(graph: Graph, viewer: TestViewer, id: string): Promise<ShownConversation> {
  const { data } = await graph.query(viewer, conversationDocument, { id });
  const messages: ShownMessage[] = data.conversation.messages.edges.map(({ node }: { node: ShownMessage }) => node);
  return { ...data.conversation, messages, texts: messages.map(({ content }) => content) };
}

/** A time so many seconds from now. */
export function inSeconds(seconds: number): string {
  return new Date(Date.now() + seconds * 1_000).toISOString();
}

/**
 * An app without a limit for realtime, and alice, that the tests of a file share. After each test its sessions are ended:
 * only so many may be open.
 */
export function shareGraph(): { readonly graph: Graph; readonly alice: TestViewer } {
  let graph: Graph | undefined;
  let alice: TestViewer | undefined;
  const given = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error('The shared graph has not started: use it in tests and hooks only.');
    return value;
  };
  beforeAll(async () => {
    graph = await openGraph({ RATE_LIMIT_REALTIME: '0' });
    alice = await graph.viewer('alice');
  });
  afterEach(async () => {
    given(graph).app.model.assertDone();
    await given(graph).db.realtimeSession.updateMany({ data: { endedAt: new Date() } });
  });
  afterAll(() => graph?.[Symbol.asyncDispose]());
  return {
    get graph() {
      return given(graph);
    },
    get alice() {
      return given(alice);
    },
  };
}
