import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { startModelServer } from '../../src/demo/server.ts';
import type { ReceivedRequest } from '../../src/demo/steps.ts';
import { HydrateDocument, NewConversationDocument, TurnDocument } from '../generated/graphql.ts';
import { openApollo, openGraphqlWs, type TestClient } from '../support/clients/libraries.ts';
import { Transcript } from '../support/clients/transports.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { findPort, findProgram } from '../support/proxies/find-program.ts';
import { startTcpBalancer } from '../support/proxies/haproxy.ts';
import { type FaultyStep, playFaulty } from '../support/scripted-model/faults.ts';
import { createGate, type Gate } from '../support/scripted-model/gate.ts';
import { startServer } from '../support/server.ts';

// Installed where CI runs, which fails without it.
const hasProxy = findProgram('haproxy') !== null || process.env.CI !== undefined;

const clientsOfEach = 3;
/** As an application has it: more than the library's own five, so that a slow machine is no failure. */
const retries = 20;
const restarts = 2;
const tokens = 20;
/** How many of them a reader has before the turn is held. */
const heldAfter = 5;
const askEveryMs = 20;

// Libraries say on the console what they do not like of a document or an answer.
const complaint = vi.fn();
beforeEach(() => {
  complaint.mockClear();
  vi.spyOn(console, 'warn').mockImplementation(complaint);
  vi.spyOn(console, 'error').mockImplementation(complaint);
});
afterEach(() => {
  expect(complaint.mock.calls).toEqual([]);
});

/** What is said to a text: the same to whoever asks again. */
const answerTo = (content: string) => Array.from({ length: tokens }, (_, place) => `${content}-${place} `);

function lastQuestion({ messages }: Pick<ReceivedRequest, 'messages'>): string {
  const said = messages.findLast(({ role }) => role === 'user');
  return said?.role === 'user' ? said.content : '';
}

/** Answers the last question; those that end with the number of a gate are held there. */
function respond(gates: readonly Gate[], request: Pick<ReceivedRequest, 'messages'>): FaultyStep {
  const content = lastQuestion(request);
  const gate = gates[Number(content.at(-1))];
  return { text: answerTo(content), ...(gate && { gate, afterTokens: heldAfter }) };
}

/** A turn as its user interface shows it. */
interface ShownTurn {
  readonly content: string;
  readonly transcript: Transcript;
  /** The texts of its conversation, as they are read afterwards. */
  readonly stored: readonly string[];
}

/**
 * Takes one turn for each restart, and one more, each in a conversation of its own that is created before and read afterwards.
 * @throws whatever the library gives to the application
 */
async function talk(client: TestClient, name: string): Promise<ShownTurn[]> {
  const turns: ShownTurn[] = [];
  for (let turn = 0; turn <= restarts; turn++) {
    const { createConversation } = await client.ask(NewConversationDocument, { input: { scenarioKey: 'assistant' } });
    const { id: conversationId } = createConversation;
    const transcript = new Transcript();
    const content = `${name}-${turn}`;
    const input = { conversationId, content, idempotencyKey: randomUUID() };
    await client.follow(TurnDocument, { input }, ({ chatTurn }) => transcript.take(chatTurn));
    const { conversation } = await client.ask(HydrateDocument, { id: conversationId });
    const stored = conversation?.messages.edges.map(({ node }) => node.content) ?? [];
    turns.push({ content, transcript, stored });
  }
  return turns;
}

/** Asks one thing after the other, on connections that are kept. @throws whatever the library gives to the application */
async function keepAsking(client: TestClient, isOver: () => boolean): Promise<number> {
  const { createConversation } = await client.ask(NewConversationDocument, { input: { scenarioKey: 'assistant' } });
  let count = 0;
  for (; !isOver(); count++) {
    await client.ask(HydrateDocument, { id: createConversation.id });
    await sleep(askEveryMs);
  }
  return count;
}

test('Whoever asks the model of this suite again is told the same, and is held at the same gate', async () => {
  const gates = [createGate(), createGate()];
  const messages = [
    { role: 'user', content: 'A-0' },
    { role: 'assistant', content: 'B', calls: [] },
  ] as const;
  const request = { messages: [...messages, { role: 'user', content: 'C-2' }] } as const;
  expect(respond(gates, request)).toEqual({ text: answerTo('C-2') });
  expect(respond(gates, { messages })).toEqual({ text: answerTo('A-0'), gate: gates[0], afterTokens: heldAfter });
});

test.runIf(hasProxy)(
  'Apollo Client and graphql-ws notice nothing of a rolling restart behind a plain TCP balancer',
  { timeout: 300_000 },
  async () => {
    await using opening = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'switchboard-rolling-'));
    opening.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
    const database = opening.use(await createTestDatabase());
    const gates = Array.from({ length: restarts }, createGate);
    const asked = new Set<string>();
    const model = await startModelServer<FaultyStep>({
      play: playFaulty,
      respond(request) {
        asked.add(lastQuestion(request));
        return respond(gates, request);
      },
    });
    opening.defer(model.close);
    const ports = [await findPort(), await findPort()];
    const redisUrl = process.env.TEST_REDIS_URL;
    const prefix = `test-${randomUUID()}:`;
    const start = async (index: number) =>
      opening.use(
        await startServer(folder, {
          DATABASE_URL: database.url,
          OPENAI_BASE_URL: model.url,
          MODEL: 'test-model',
          DRAIN_SECONDS: '4',
          PORT: String(ports[index]),
          ...(redisUrl ? { REDIS_URL: redisUrl, REDIS_PREFIX: prefix } : {}),
        }),
      );
    const sql = new Client({ connectionString: database.url });
    await sql.connect();
    opening.defer(() => sql.end());
    /** Who carries out the turns that are held, one row for each. */
    const listOwners = async () => {
      const found = await sql.query("SELECT lease_owner FROM runs WHERE status = 'RUNNING'");
      return z
        .array(z.object({ lease_owner: z.string().nullable() }))
        .parse(found.rows)
        .map((row) => row.lease_owner);
    };

    // All turns are under way at the instance that is about to stop: the other one starts when they are held.
    let old = await start(0);
    const balancer = opening.use(await startTcpBalancer(ports.map((port) => `http://127.0.0.1:${port}`)));
    const waitUntilUp = (...up: readonly boolean[]) =>
      expect.poll(() => balancer.listUp(), { timeout: 60_000 }).toEqual(up);
    await waitUntilUp(true, false);
    const url = `${balancer.url}/graphql`;
    const openClient = async (library: 'apollo' | 'graphql-ws', name: string) =>
      opening.use(
        await (library === 'apollo' ? openApollo : openGraphqlWs)(url, await old.token({ sub: name }), retries),
      );
    const names = (['apollo', 'graphql-ws'] as const).flatMap((library) =>
      Array.from({ length: clientsOfEach }, (_, n) => [library, `${library}-${n}`] as const),
    );
    const clients = await Promise.all(
      names.map(async ([library, name]) => ({ name, client: await openClient(library, name) })),
    );
    const asker = await openClient('apollo', 'asker');
    let over = false;
    const asking = keepAsking(asker, () => over);
    const talking = Promise.all(clients.map(({ client, name }) => talk(client, name)));
    // They are awaited at the end; until then the restart goes on.
    asking.catch(() => {});
    talking.catch(() => {});

    for (const [restart, gate] of gates.entries()) {
      const listHeld = () => [...asked].filter((content) => content.endsWith(`-${restart}`));
      await expect.poll(listHeld, { timeout: 60_000 }).toHaveLength(clients.length);
      const [owner] = await listOwners();
      const next = await start((restart + 1) % 2);
      await waitUntilUp(true, true);
      expect(await old.end('SIGTERM')).toBe(0);
      // The balancer has noticed it by /ready, before the instance was gone.
      expect((await balancer.listUp())[restart % 2]).toBe(false);
      // It did hit them: each is carried out by the other instance now.
      await expect.poll(async () => new Set(await listOwners()).has(null), { timeout: 60_000 }).toBe(false);
      const owners = await listOwners();
      expect(owners).toHaveLength(clients.length);
      expect(new Set(owners).size).toBe(1);
      expect(owners[0]).not.toBe(owner);
      gate.open();
      old = next;
    }
    const turns = (await talking).flat();
    over = true;
    expect(await asking).toBeGreaterThan(0);

    for (const { content, transcript, stored } of turns) {
      const text = answerTo(content).join('');
      expect(transcript.last?.__typename).toBe('RunCompleted');
      expect([...transcript.texts.values()]).toEqual([text]);
      expect(stored).toEqual([content, text]);
      // Its client came back to another instance, and was told from the start.
      const begun = transcript.events.filter(({ __typename }) => __typename === 'RunStarted').length;
      if (!content.endsWith(`-${restarts}`)) expect(begun, content).toBeGreaterThan(1);
    }
    expect(new Set(turns.map(({ transcript }) => transcript.events[0]?.runId)).size).toBe(turns.length);
    expect(turns).toHaveLength(clients.length * (restarts + 1));
  },
);
