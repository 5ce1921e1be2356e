import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDatabase } from '../../src/database/client.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { type Server, startServer } from '../support/server.ts';

// Answers of hundreds of megabytes, many at a time: messages as long as they may be, pages as large as they may be.

const stack = new AsyncDisposableStack();
let server: Server;
let conversation: string;
let mallory: string;
let victim: string;

const messages = 500;
/** How much the server may grow while it is attacked, in megabytes. One answer of the attack would have 200. */
const maxGrowth = 500;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-answers-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const database = stack.use(await createTestDatabase());
  server = stack.use(await startServer(folder, { DATABASE_URL: database.url, LOG_LEVEL: 'silent' }));
  mallory = await server.token({ sub: 'mallory', tenant: 'attackers' });
  victim = await server.token({ sub: 'victim', tenant: 'victims' });
  const { data } = await server.query('mutation { createConversation { id } }', {}, { token: mallory });
  conversation = data.createConversation.id;
  await using opened = openDatabase({ url: database.url, poolSize: 1 });
  const id = conversation.slice('conv_'.length);
  // Four bytes a character, as long as a message may be.
  await opened.db.$executeRaw`
    INSERT INTO messages (id, tenant_id, conversation_id, position, role, content)
    SELECT gen_random_uuid(), 'attackers', ${id}::uuid, n, 'USER', repeat(chr(128512), 100000)
    FROM generate_series(1, ${messages}::integer) AS n`;
  await opened.db.$executeRaw`UPDATE conversations SET message_count = ${messages} WHERE id = ${id}::uuid`;
}, 120_000);
afterAll(() => stack.disposeAsync());

const page = `query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
  conversation(id: $id) {
    messages(first: $first, after: $after, last: $last, before: $before) {
      edges { node { id content } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}`;

/** Resident memory of the server, in megabytes. */
async function readMemory(): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/** How many answers the attackers get, eight requests at a time. */
const attacks = 24;

/**
 * Attacks the server while another tenant asks for something small, one request after another.
 * @param send sends one request of the attack
 */
async function attack(name: string, send: () => Promise<void>) {
  const before = await readMemory();
  let [peak, begun, over] = [before, 0, false];
  const attackers = Array.from({ length: 8 }, async () => {
    while (begun < attacks) {
      begun += 1;
      await send();
    }
  });
  const attacking = Promise.all(attackers).finally(() => {
    over = true;
  });
  const sampling = (async () => {
    while (!over) {
      peak = Math.max(peak, await readMemory());
      await pause(20);
    }
  })();
  let [served, slowest] = [0, 0];
  while (!over) {
    const startedAt = performance.now();
    const { data } = await server.query('{ viewer { userId } }', {}, { token: victim });
    expect(data.viewer.userId).toBe('victim');
    slowest = Math.max(slowest, performance.now() - startedAt);
    served += 1;
  }
  await Promise.all([attacking, sampling]);
  const figures = { grownBy: Math.round(peak - before), served, slowestMs: Math.round(slowest) };
  if (process.env.VERBOSE_ATTACKS) process.stdout.write(`${name}: ${JSON.stringify(figures)}\n`);
  return figures;
}

test('Eight pages of 500 of the longest messages at a time are cut, memory stays bounded, and another tenant is served meanwhile', async () => {
  await server.query('{ viewer { userId } }', {}, { token: victim });
  const { grownBy, served } = await attack('pages of long messages', async () => {
    const { data, errors } = await server.query(page, { id: conversation, first: messages }, { token: mallory });
    expect(errors).toEqual([]);
    const { edges, pageInfo } = data.conversation.messages;
    expect(edges.length).toBeGreaterThan(5);
    expect(edges.length).toBeLessThan(25);
    expect(pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
    expect(edges[0].node.content).toHaveLength(200_000);
  });
  expect(grownBy).toBeLessThan(maxGrowth);
  // More often than twice for each round of eight answers.
  expect(served).toBeGreaterThan(attacks / 4);
});
