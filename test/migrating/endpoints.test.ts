import { readFile } from 'node:fs/promises';
import { type OperationDefinitionNode, parse } from 'graphql';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { startDemoModel } from '../../src/demo/demo.ts';
import type { ModelServer } from '../../src/demo/server.ts';
import { shareApp } from '../support/app.ts';
import { openNewUser, type SocketClient } from '../support/chat.ts';
import { assembleTexts, openStream, type TurnEvent } from '../support/clients/turn-reader.ts';
import { addProject } from '../support/projects.ts';

// Every document of docs/migrating.md runs here as it is printed, with the variables below it, against a started server with
// the demo model. A test is named after the endpoint whose place the document takes.

const file = new URL('../../docs/migrating.md', import.meta.url);
const endpoints = [
  'session key',
  'scenarios',
  'scenario detail',
  'enhanced session bootstrap',
  'tool execution',
  'context snapshot',
  'moderation',
  'orchestration',
  'single-turn run',
  'session create',
  'session message',
  'session transcript',
  'responses with tools',
] as const;
type Endpoint = (typeof endpoints)[number];

interface Printed {
  readonly name: string;
  readonly document: string;
  readonly isStream: boolean;
  /** As they are printed, with names in place of ids. */
  readonly variables: string;
}

/** The documents of each section, in their order. */
const sections = new Map<string, { readonly before: string; readonly after: readonly Printed[] }>();
for (const section of (await readFile(file, 'utf8')).split(/^## /m).slice(1)) {
  const [title = ''] = section.split('\n', 1);
  const blocks = [...section.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, code = '']) => {
    return { language, code };
  });
  const after = blocks.flatMap(({ language, code }, index): Printed[] => {
    if (language !== 'graphql') return [];
    const next = blocks[index + 1];
    const [operation] = parse(code).definitions as readonly OperationDefinitionNode[];
    return [
      {
        name: operation?.name?.value ?? '',
        document: code,
        isStream: operation?.operation === 'subscription',
        variables: next?.language === 'json' ? next.code : '{}',
      },
    ];
  });
  sections.set(title.toLowerCase(), { before: blocks[0]?.language === 'http' ? blocks[0].code : '', after });
}

let demo: ModelServer;
const app = shareApp(async () => {
  demo = await startDemoModel({ delayMs: 0, firstTokenDelayMs: 0 });
  return { env: { OPENAI_BASE_URL: demo.url, MODEL: 'switchboard-demo' } };
});

/** Replaces the names in the variables by ids, and each key by a new one. */
function fill({ variables }: Printed, ids: Readonly<Record<string, string>>) {
  const filled = variables
    .replace('a new UUID for each message', crypto.randomUUID())
    .replaceAll(/<([\w ]+)>/g, (_, name: string) => {
      const id = ids[name];
      if (id === undefined) throw new Error(`Nothing is called <${name}>.`);
      return id;
    });
  return z.record(z.string(), z.unknown()).parse(JSON.parse(filled));
}

/** What runs the documents of an endpoint, one after another. */
function play(endpoint: Endpoint, user: SocketClient) {
  const left = [...(sections.get(endpoint)?.after ?? [])];
  const take = () => {
    const next = left.shift();
    if (next === undefined) throw new Error(`docs/migrating.md has no further document for ${endpoint}.`);
    return next;
  };
  return {
    left,
    // biome-ignore lint/suspicious/noExplicitAny: the documents are read from the page; their answers are asserted.
    async run(ids: Readonly<Record<string, string>> = {}): Promise<any> {
      const printed = take();
      return Object.values(await user.ask(printed.document, fill(printed, ids)))[0];
    },
    async stream(ids: Readonly<Record<string, string>>): Promise<TurnEvent[]> {
      const printed = take();
      expect(printed.isStream).toBe(true);
      return openStream(app, 'sse', user.token, printed.document, fill(printed, ids)).rest();
    },
  };
}

/** The endpoints that have a test. */
const tested = new Set<Endpoint>();

/** Plays an endpoint, all of whose documents have to be used. */
function testEndpoint(endpoint: Endpoint, use: (page: ReturnType<typeof play>, user: SocketClient) => Promise<void>) {
  tested.add(endpoint);
  test(`The endpoint "${endpoint}" has its place in the graph: the documents of docs/migrating.md work as printed`, async () => {
    const user = await openNewUser(app);
    const { viewer } = await user.ask('{ viewer { userId } }');
    const project = await app.app.db.project.findFirst({ where: { tenantId: 'acme', key: 'p1' } });
    const projectId = project?.id ?? (await addProject(app.app.db, 'p1')).slice('prj_'.length);
    await app.app.db.projectMember.create({
      data: { tenantId: 'acme', projectId, userId: viewer.userId, role: 'EDITOR' },
    });
    const page = play(endpoint, user);
    await use(page, user);
    expect(page.left).toEqual([]);
  });
}

test('The page has a section for each endpoint, with the request before and after, and none besides', () => {
  expect([...sections.keys()]).toEqual([...endpoints]);
  for (const [, { before, after }] of sections) {
    expect(before).toMatch(/^(GET|POST) \/api\//);
    expect(after.length).toBeGreaterThan(0);
  }
  expect(tested).toEqual(new Set(endpoints));
  const names = [...sections.values()].flatMap(({ after }) => after.map(({ name }) => name));
  expect(names.every((name) => name !== '')).toBe(true);
  expect(new Set(names).size).toBe(names.length);
});

describe('reading', () => {
  testEndpoint('scenarios', async (page) => {
    const scenarios = await page.run();
    const keys = scenarios.edges.map(({ node }: { node: { key: string } }) => node.key);
    expect(keys).toEqual(expect.arrayContaining(['assistant', 'support', 'guarded']));
    expect(scenarios.totalCount).toBe(keys.length);
  });

  testEndpoint('scenario detail', async (page) => {
    const scenario = await page.run();
    expect(scenario).toMatchObject({ key: 'support', rootAgent: { name: 'supervisor' } });
    expect(scenario.agents[0]).toMatchObject({ isRoot: true, agent: { name: 'supervisor' } });
    const to = scenario.agents[0].handoffs.map(({ toAgent }: { toAgent: { name: string } }) => toAgent.name);
    expect(to).toEqual(['billing', 'orders', 'human_escalation']);
  });
});

describe('deciding', () => {
  testEndpoint('tool execution', async (page) => {
    expect(await page.run()).toMatchObject({ ok: true, error: null, result: { number: '1042', status: 'shipped' } });
  });

  testEndpoint('context snapshot', async (page) => {
    const { id, block, redactions, truncated } = await page.run();
    expect(id).toMatch(/^ctx_/);
    expect({ redactions, truncated }).toEqual({ redactions: 1, truncated: false });
    expect(block).toContain('of [EMAIL]');
    expect(block).toContain('Record order:1042, as JSON\n  {"number":"1042"');
  });

  testEndpoint('moderation', async (page) => {
    const { flagged, action, categories } = await page.run();
    expect({ flagged, action }).toEqual({ flagged: true, action: 'REDACT' });
    expect(categories).toContainEqual({ name: 'EMAIL', flagged: true, score: 1 });
  });

  testEndpoint('orchestration', async (page) => {
    const decision = await page.run();
    expect(decision).toMatchObject({ rootAgent: { name: 'billing' }, switched: true });
    expect(decision.confidence).toBeGreaterThan(0.5);
    expect(decision.reasoning).not.toBe('');
  });
});

describe('conversations', () => {
  testEndpoint('single-turn run', async (page) => {
    const { id: conversation } = await page.run();
    const run = await page.run({ conversation });
    expect(run).toMatchObject({ status: 'COMPLETED', error: null, handoffs: [{ toAgent: { name: 'orders' } }] });
    expect(run.messages.at(-1)).toMatchObject({ agent: { name: 'orders' } });
    expect(run.messages.at(-1).content).toContain('I looked up order 1042');
    expect(run.usage.totalTokens).toBeGreaterThan(0);
  });

  testEndpoint('session create', async (page) => {
    const conversation = await page.run();
    expect(conversation).toMatchObject({ title: 'My order', activeAgent: { name: 'supervisor' } });
    expect(conversation.id).toMatch(/^conv_/);
  });

  testEndpoint('session message', async (page, user) => {
    const events = await page.stream({ conversation: await user.createConversation('support') });
    expect([...assembleTexts(events).values()].join()).toContain('I looked up order 1042');
    expect(events.find((event) => event.__typename === 'HandoffOccurred')).toBeDefined();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
  });

  testEndpoint('responses with tools', async (page, user) => {
    const conversation = await user.createConversation('support');
    const waiting = await page.run({ conversation });
    expect(waiting.status).toBe('REQUIRES_ACTION');
    const call = waiting.toolCalls.find(({ status }: { status: string }) => status === 'AWAITING_APPROVAL');
    expect(call).toMatchObject({ name: 'refund_order', arguments: '{"orderNumber":"1046"}' });
    await page.run({ run: waiting.id, 'waiting call': call.id });
    const events = await user.runEvents('sse', waiting.id).rest();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    const refunded = events.filter(({ __typename }) => __typename === 'ToolCallCompleted').at(-1);
    expect(refunded).toMatchObject({ toolCall: { name: 'refund_order', status: 'SUCCEEDED' } });
  });
});

describe('calls by voice', () => {
  testEndpoint('session key', async (page) => {
    const { id, ephemeralKey, expiresAt, model } = await page.run();
    expect(id).toMatch(/^rts_/);
    // The demo endpoint says that it is one.
    expect(ephemeralKey).toMatch(/^ek_switchboard_demo_/);
    expect(model).not.toBe('');
    expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now());
  });

  testEndpoint('enhanced session bootstrap', async (page, user) => {
    const { id: snapshot, truncated } = await page.run();
    expect(truncated).toBe(false);
    const session = await page.run({ snapshot });
    expect(session.ephemeralKey).toMatch(/^ek_switchboard_demo_/);
    expect(session.conversation.id).toMatch(/^conv_/);
    const names = session.initialAgents.map(({ name }: { name: string }) => name);
    expect(names).toEqual(['supervisor', 'billing', 'orders', 'human_escalation']);
    expect(session.initialAgents[0].handoffs).toEqual(['billing', 'orders', 'human_escalation']);
    // Nowhere else.
    const read = 'query ($id: ID!) { realtimeSession(id: $id) { ephemeralKey initialAgents { instructions } } }';
    const { realtimeSession } = await user.ask(read, { id: session.id });
    expect(realtimeSession.ephemeralKey).toBeNull();
    expect(JSON.stringify(realtimeSession)).not.toContain('CONTEXT');
  });

  testEndpoint('session transcript', async (page, user) => {
    const start = `mutation { startRealtimeSession(input: { scenarioKey: "support" }) { id conversation { id } } }`;
    const { startRealtimeSession: session } = await user.ask(start);
    const conversation: string = session.conversation.id;
    const turn = user.chatTurn('ws', { conversationId: conversation, content: 'Where is my order 1042?' });
    expect((await turn.rest()).at(-1)?.__typename).toBe('RunCompleted');
    const recorded = await page.run({ session: session.id });
    expect(recorded).toMatchObject([
      { role: 'USER', content: 'And order 1043?', source: 'REALTIME' },
      { role: 'ASSISTANT', content: 'It is in preparation.', source: 'REALTIME' },
    ]);
    const { messages } = await page.run({ 'realtime conversation': conversation });
    const said = messages.edges.map(({ node }: { node: { source: string; content: string } }) => [
      node.source,
      node.content,
    ]);
    expect(said[0]).toEqual(['CHAT', 'Where is my order 1042?']);
    expect(said.slice(-2)).toEqual([
      ['REALTIME', 'And order 1043?'],
      ['REALTIME', 'It is in preparation.'],
    ]);
    expect(messages.pageInfo.hasNextPage).toBe(false);
  });
});
