import type { Client } from 'graphql-ws';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { shareApp } from '../support/app.ts';
import { documents, openSocketClient, type SocketClient } from '../support/chat.ts';
import {
  chatTurnDocument,
  openStream,
  runEventsDocument,
  StreamRefused,
  TurnReader,
} from '../support/clients/turn-reader.ts';
import { createGate, type Gate } from '../support/scripted-model/gate.ts';

const app = shareApp();
let alice: SocketClient;
/** Every bad operation over ws goes through this socket, on which a good turn runs all the time. */
let socket: Client;
let good: TurnReader;
let gate: Gate;
let conversationId: string;
/** What exists and is not alice's to use, and what exists and is no use. */
const ids: Record<string, string> = {};

beforeAll(async () => {
  alice = await openSocketClient(app, 'alice');
  const bob = await openSocketClient(app, 'bob');
  // Users appear when they are seen first: the one row that a refused request may write.
  await app.query('{ viewer { userId } }', {}, { token: await app.token({ sub: 'root', roles: ['admin'] }) });
  const stranger = await app.token({ sub: 'alice', tenant: 'elsewhere' });
  conversationId = await alice.createConversation('support');
  const { agents } = await alice.ask(`{ agents { edges { node { id name } } } }`);
  const idOf = (name: string) =>
    agents.edges.find(({ node }: { node: { name: string } }) => node.name === name).node.id;
  const elsewhere = await app.query(
    `mutation { createConversation(input: { scenarioKey: "support" }) { id activeAgent { id } scenario { rootAgent { id } } } }`,
    {},
    { token: stranger },
  );
  Object.assign(ids, {
    bobsConversation: await bob.createConversation(),
    strangersConversation: elsewhere.data.createConversation.id,
    strangersAgent: elsewhere.data.createConversation.scenario.rootAgent.id,
    assistant: idOf('assistant'),
    orders: idOf('orders'),
  });
  app.model.add({ text: 'Bob’s.' });
  const input = { conversationId: ids.bobsConversation, content: 'x', idempotencyKey: 'k' };
  ids.bobsRun = (await bob.ask(documents.sendMessage, { input })).sendMessage.id;
  await app.app.db.agent.update({ where: { id: ids.orders?.slice(4) ?? '' }, data: { isActive: false } });

  gate = createGate();
  app.model.add({ text: ['Still', ' here'], afterTokens: 1, gate });
  socket = app.ws(alice.token);
  good = streamOn(chatTurnDocument, {
    input: { conversationId: await alice.createConversation(), content: 'Hello', idempotencyKey: 'good' },
  });
  await good.untilText('Still');
  ids.goodRun = good.events[0]?.runId ?? '';
  // The row of its message is there: from here on nothing changes by itself.
  await vi.waitUntil(() => app.app.db.message.count({ where: { status: 'STREAMING' } }));
});

function streamOn(document: string, variables: Record<string, unknown>): TurnReader {
  const results = socket.iterate({ query: document, variables });
  return new TurnReader(results, () => results.return?.());
}

/** How many rows each table has. */
async function countRows(): Promise<Record<string, number>> {
  const { db } = app.app;
  const tables = await db.$queryRaw<{ name: string }[]>`
    SELECT table_name::text AS name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1`;
  const counts: Record<string, number> = {};
  for (const { name } of tables) {
    const [row] = await db.$queryRawUnsafe<{ count: number }[]>(`SELECT count(*)::int AS count FROM "${name}"`);
    counts[name] = row?.count ?? -1;
  }
  const conversations = await db.conversation.findMany({ orderBy: { id: 'asc' } });
  return { ...counts, ...Object.fromEntries(conversations.map((row) => [`${row.id} ${row.title}`, row.messageCount])) };
}

async function refusalOf(reader: TurnReader) {
  const error: unknown = await reader.next().catch((refusal: unknown) => refusal);
  if (error instanceof StreamRefused) return error.errors;
  // graphql-ws answers an operation that was never run with an error message: iterate throws its errors.
  if (Array.isArray(error)) return error;
  throw new Error(`It was not refused: ${JSON.stringify(error)}`);
}

async function refusalOver(way: string, variables: Record<string, unknown>, document: string) {
  if (way === 'ws') return refusalOf(streamOn(document, variables));
  return refusalOf(openStream(app, 'sse', alice.token, document, variables));
}

async function expectNothingDone(act: () => Promise<void>): Promise<void> {
  const before = { rows: await countRows(), asked: app.model.requests.length, active: app.app.runs.running.size };
  await act();
  expect({ rows: await countRows(), asked: app.model.requests.length, active: app.app.runs.running.size }).toEqual(
    before,
  );
}

const long = (length: number) => 'x'.repeat(length);
const file = { name: 'a', type: 'text/plain', url: 'https://files.test/a', size: 1 };
const unknown = '01890000-0000-7000-8000-000000000000';

interface BadInput {
  readonly what: string;
  readonly input: () => Record<string, unknown>;
  readonly code?: string;
  readonly path?: readonly (string | number)[];
  readonly says?: RegExp;
}

function field(name: string, what: string, value: unknown, says?: RegExp): BadInput {
  return {
    what: `${name}: ${what}`,
    input: () => ({ [name]: value }),
    path: ['input', name],
    ...(says ? { says } : {}),
  };
}

function attachment(what: string, changes: Record<string, unknown>): BadInput {
  const [name = ''] = Object.keys(changes);
  return {
    what: `attachments: ${what}`,
    input: () => ({ attachments: [file, { ...file, ...changes }] }),
    path: ['input', 'attachments', 1, name],
  };
}

const badInputs: BadInput[] = [
  field('content', 'empty', '', /1 to 100,000 characters/),
  field('content', 'blank', ' \n\t ', /blank/),
  field('content', 'too long', long(100_001), /1 to 100,000 characters.*100,001/),
  field('content', 'too long in characters, not in units', '😀'.repeat(50_000) + long(50_001), /100,001/),
  field('content', 'U+0000', 'a\u0000b', /U\+0000/),
  field('content', 'a lone high surrogate', 'a\ud83d', /surrogate/),
  field('content', 'a lone low surrogate', '\ude00a', /surrogate/),
  field('content', 'null', null),
  field('content', 'a number', 5),
  field('idempotencyKey', 'empty', ''),
  field('idempotencyKey', 'too long', long(256), /1 to 255/),
  field('idempotencyKey', 'U+0000', 'k\u0000', /U\+0000/),
  field('idempotencyKey', 'a lone surrogate', '\udc00', /surrogate/),
  field('after', 'negative', -1, /0 to/),
  field('after', 'beyond the end of a turn that is not there', 1),
  field('after', 'no integer', 1.5),
  field('after', 'more than an Int', 2 ** 31),
  field('temperature', 'too high', 2.1, /0 to 2/),
  field('temperature', 'negative', -0.1, /0 to 2/),
  field('temperature', 'a string', 'warm'),
  field('maxTokens', '0', 0, /1 to 32,000/),
  field('maxTokens', 'too many', 32_001, /1 to 32,000/),
  field('model', 'empty', ''),
  field('model', 'too long', long(201)),
  field('model', 'a lone surrogate', '\ud800'),
  field('ifBusy', 'unknown', 'WAIT'),
  field('onDisconnect', 'unknown', 'PANIC'),
  field('secret', 'no field of it', 1),
  field('conversationId', 'nonsense', 'nonsense', /conv_/),
  field('conversationId', 'an id of another type', `agt_${unknown}`, /conv_/),
  field('conversationId', 'an id with something behind it', `conv_${unknown}'; --`, /conv_/),
  field('conversationId', 'a lone surrogate', 'conv_\ud800'),
  field('agentId', 'an id of another type', `conv_${unknown}`, /agt_/),
  field('agentId', 'unknown', `agt_${unknown}`),
  {
    what: 'agentId: outside the scenario',
    input: () => ({ agentId: ids.assistant }),
    path: ['input', 'agentId'],
    says: /scenario/,
  },
  { what: 'agentId: inactive', input: () => ({ agentId: ids.orders }), path: ['input', 'agentId'], says: /active/ },
  { what: 'agentId: of another tenant', input: () => ({ agentId: ids.strangersAgent }), path: ['input', 'agentId'] },
  field(
    'attachments',
    'too many',
    Array.from({ length: 21 }, () => file),
    /20/,
  ),
  attachment('javascript:', { url: 'javascript:alert(1)' }),
  attachment('data:', { url: 'data:text/html,x' }),
  attachment('file:', { url: 'file:///etc/passwd' }),
  attachment('no address', { url: 'files.test/a' }),
  attachment('a long address', { url: `https://files.test/${long(2_048)}` }),
  attachment('no name', { name: '' }),
  attachment('U+0000 in the name', { name: '\u0000' }),
  attachment('a negative size', { size: -1 }),
  attachment('no integer', { size: 0.5 }),
  { what: 'a conversation that is not there', input: () => ({ conversationId: `conv_${unknown}` }), code: 'NOT_FOUND' },
  {
    what: 'another user’s conversation',
    input: () => ({ conversationId: ids.bobsConversation }),
    code: 'FORBIDDEN',
  },
  {
    what: 'another tenant’s conversation',
    input: () => ({ conversationId: ids.strangersConversation }),
    code: 'FORBIDDEN',
  },
];

describe('bad input of a turn', () => {
  test.each(badInputs)(
    'A turn with bad input is a clear error, nothing written, nothing started: $what',
    async ({ input, code = 'BAD_USER_INPUT', path, says }) => {
      await expectNothingDone(async () => {
        const variables = { input: { conversationId, content: 'Hello', idempotencyKey: 'bad', ...input() } };
        const refusals = [
          await refusalOver('ws', variables, chatTurnDocument),
          await refusalOver('sse', variables, chatTurnDocument),
        ];
        for (const document of [documents.startRun, documents.sendMessage]) {
          const { status, errors, data } = await app.query(document, variables, { token: alice.token });
          expect(status).toBe({ BAD_USER_INPUT: 400, NOT_FOUND: 404, FORBIDDEN: 403 }[code]);
          expect(data ?? null).toBeNull();
          refusals.push([...errors]);
        }
        for (const errors of refusals) {
          expect(errors).toHaveLength(1);
          expect(errors[0]?.extensions).toEqual(path ? { code, path } : { code });
          if (says) expect(errors[0]?.message).toMatch(says);
          expect(errors[0]?.message.length).toBeLessThan(1_000);
        }
      });
    },
  );

  test('A turn with missing fields is refused', async () => {
    await expectNothingDone(async () => {
      for (const name of ['conversationId', 'content', 'idempotencyKey']) {
        const input = { conversationId, content: 'Hello', idempotencyKey: 'bad', [name]: undefined };
        for (const way of ['ws', 'sse']) {
          expect(await refusalOver(way, { input }, chatTurnDocument)).toMatchObject([
            { extensions: { code: 'BAD_USER_INPUT', path: ['input', name] } },
          ]);
        }
      }
    });
  });

  test('A turn is not started without a token', async () => {
    await expectNothingDone(async () => {
      const variables = { input: { conversationId, content: 'Hello', idempotencyKey: 'bad' } };
      const { status, errors } = await app.query(documents.startRun, variables, { token: null });
      expect({ status, errors }).toMatchObject({ status: 401, errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
      const results = app.ws(null).iterate({ query: chatTurnDocument, variables });
      expect(await refusalOf(new TurnReader(results, () => {}))).toMatchObject([
        { extensions: { code: 'UNAUTHENTICATED' } },
      ]);
    });
  });

  test('Several turns in one mutation are started if their input is valid', async () => {
    const document = `mutation ($a: ChatTurnInput!, $b: ChatTurnInput!) {
      bad: startRun(input: $a) { id } worse: startRun(input: $b) { id }
    }`;
    await expectNothingDone(async () => {
      const a = { conversationId, content: '', idempotencyKey: 'a' };
      const b = { conversationId: ids.bobsConversation, content: 'b', idempotencyKey: 'b' };
      const { errors } = await app.query(document, { a, b }, { token: alice.token });
      expect(errors[0]?.extensions.code).toBe('BAD_USER_INPUT');
    });
  });
});

const badRuns = [
  { what: 'nonsense', id: () => 'nonsense', code: 'BAD_USER_INPUT' },
  { what: 'an id of another type', id: () => `msg_${unknown}`, code: 'BAD_USER_INPUT' },
  { what: 'U+0000', id: () => `run_${unknown}\u0000`, code: 'BAD_USER_INPUT' },
  { what: 'unknown', id: () => `run_${unknown}`, code: 'NOT_FOUND' },
  { what: 'somebody else’s', id: () => ids.bobsRun ?? '', code: 'FORBIDDEN' },
];

describe('a run that the viewer cannot have', () => {
  test.each(badRuns)('A run that the viewer cannot have is refused: $what', async ({ id, code }) => {
    const bad = code === 'BAD_USER_INPUT';
    await expectNothingDone(async () => {
      for (const way of ['ws', 'sse']) {
        const [error] = await refusalOver(way, { runId: id() }, runEventsDocument);
        expect(error?.extensions).toEqual(bad ? { code, path: ['runId'] } : { code });
      }
      const cancelled = await app.query(documents.cancelRun, { id: id() }, { token: alice.token });
      expect(cancelled.errors[0]?.extensions).toEqual(bad ? { code, path: ['id'] } : { code });
      const read = await app.query(documents.run, { id: id() }, { token: alice.token });
      expect(read).toMatchObject({ data: { run: null } });
      expect(read.errors[0]?.extensions).toEqual(bad ? { code, path: ['id'] } : { code });
    });
  });

  test('A run of somebody else cannot be cancelled', async () => {
    await expectNothingDone(async () => {
      for (const claims of [{ sub: 'bob' }, { sub: 'alice', tenant: 'elsewhere' }, { sub: 'root', roles: ['admin'] }]) {
        const token = await app.token(claims);
        const { errors } = await app.query(documents.cancelRun, { id: ids.goodRun }, { token });
        expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
        expect(await refusalOf(openStream(app, 'sse', token, runEventsDocument, { runId: ids.goodRun }))).toMatchObject(
          [{ extensions: { code: 'FORBIDDEN' } }],
        );
      }
    });
  });

  test.each([
    { what: 'negative', after: -1, says: /0 to/ },
    { what: 'beyond the end', after: 1_000, says: /at most \d+/ },
    { what: 'more than an Int', after: 2 ** 31, says: /./ },
    { what: 'no integer', after: 0.5, says: /./ },
  ])('The input `after` is refused: $what', async ({ after, says }) => {
    await expectNothingDone(async () => {
      for (const way of ['ws', 'sse']) {
        const [error] = await refusalOver(way, { runId: ids.goodRun, after }, runEventsDocument);
        expect(error).toMatchObject({ extensions: { code: 'BAD_USER_INPUT', path: ['after'] } });
        expect(error?.message).toMatch(says);
      }
    });
  });

  test('The input `after` beyond the end of the turn that the key has started is refused', async () => {
    await expectNothingDone(async () => {
      const { conversation } = (
        await alice.ask(`query ($id: ID!) { run(id: $id) { conversation { id } } }`, { id: ids.goodRun })
      ).run;
      const input = { conversationId: conversation.id, content: 'Hello', idempotencyKey: 'good', after: 1_000 };
      for (const way of ['ws', 'sse']) {
        expect(await refusalOver(way, { input }, chatTurnDocument)).toMatchObject([
          { extensions: { code: 'BAD_USER_INPUT', path: ['input', 'after'] } },
        ]);
      }
    });
  });
});

test('Input that is just within the limits starts a turn', async () => {
  const id = await alice.createConversation('support');
  app.model.add({ text: 'Well.' });
  const input = {
    conversationId: id,
    content: '😀'.repeat(100_000),
    idempotencyKey: '🔑'.repeat(255),
    temperature: 2,
    maxTokens: 32_000,
    model: 'm'.repeat(200),
    attachments: Array.from({ length: 20 }, () => file),
    after: 0,
  };
  const { sendMessage } = await alice.ask(documents.sendMessage, { input });
  expect(sendMessage).toMatchObject({ status: 'COMPLETED' });
  expect(app.model.requests.at(-1)).toMatchObject({ temperature: 2, maxTokens: 32_000, model: 'm'.repeat(200) });
});

test('The good turn on the same socket is not affected', async () => {
  gate.open();
  const events = await good.rest();
  expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
  const { run } = await alice.ask(documents.run, { id: ids.goodRun });
  expect(run).toMatchObject({ status: 'COMPLETED', messages: [{ content: 'Still here' }] });
  expect(app.logs.filter((line) => Number(line.level) >= 50)).toEqual([]);
});
