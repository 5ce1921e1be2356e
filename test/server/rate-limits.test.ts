import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const startRun = `mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }`;

test('Beyond the limit of turns nothing is written, attaching again is free, and others are not affected', async () => {
  await using app = await startTestApp({
    env: { RATE_LIMIT_TURNS: '2/60' },
    steps: [{ text: 'one' }, { text: 'two' }, { text: 'three' }],
  });
  const talk = async (token: string) => {
    const created = await app.query('mutation { createConversation { id } }', {}, { token });
    const conversationId: string = created.data.createConversation.id;
    return (key: string) =>
      app.query(
        startRun,
        { input: { conversationId, content: 'hi', idempotencyKey: key, ifBusy: 'ENQUEUE' } },
        { token },
      );
  };
  const alice = await talk(await app.token());
  const bob = await talk(await app.token({ sub: 'bob' }));
  const [first, second, again] = [await alice('a'), await alice('b'), await alice('a')];
  expect([first.errors, second.errors, again.errors]).toEqual([[], [], []]);
  expect(again.data.startRun.id).toBe(first.data.startRun.id);

  const refused = await alice('c');
  expect(refused.status).toBe(429);
  expect(refused.errors[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
  expect(await app.app.db.run.count()).toBe(2);
  expect(await app.app.db.message.count({ where: { role: 'USER' } })).toBe(2);

  expect((await bob('a')).errors).toEqual([]);
  await expect.poll(() => app.app.db.run.count({ where: { status: 'COMPLETED' } })).toBe(3);
});

test('A turn that was refused or attached to costs no point, also while the conversation is busy', async () => {
  const gate = createGate();
  await using app = await startTestApp({
    env: { RATE_LIMIT_TURNS: '2/60' },
    steps: [{ text: ['on', 'e'], afterTokens: 1, gate }, { text: 'two' }],
  });
  const created = await app.query('mutation { createConversation { id } }');
  const conversationId: string = created.data.createConversation.id;
  const start = (idempotencyKey: string, ifBusy = 'REJECT') =>
    app.query(startRun, { input: { conversationId, content: 'hi', idempotencyKey, ifBusy } });
  expect((await start('a')).errors).toEqual([]);
  await gate.reached;
  for (let count = 0; count < 3; count++) {
    expect((await start('b')).errors[0]?.extensions.code).toBe('CONFLICT');
    expect((await start('a')).errors).toEqual([]);
  }
  expect((await start('b', 'ENQUEUE')).errors).toEqual([]);
  expect((await start('c', 'ENQUEUE')).errors[0]?.extensions.code).toBe('RATE_LIMITED');
  gate.open();
  await expect.poll(() => app.app.db.run.count({ where: { status: 'COMPLETED' } })).toBe(2);
});

test('A user who opens sockets too often is refused, with the time to wait', async () => {
  await using app = await startTestApp({ env: { RATE_LIMIT_SOCKETS: '1/60' } });
  const token = await app.token();
  const ask = (bearer: string) => app.ws(bearer).iterate({ query: '{ viewer { userId } }' }).next();
  expect((await ask(token)).value?.data).toEqual({ viewer: { userId: 'alice' } });
  await expect(ask(token)).rejects.toMatchObject({ reason: expect.stringContaining('Too many new sockets') });
  expect((await ask(await app.token({ sub: 'bob' }))).value?.data).toEqual({ viewer: { userId: 'bob' } });
});

const updateAgent = 'mutation ($input: UpdateAgentInput!, $id: ID!) { updateAgent(id: $id, input: $input) { id } }';

test('A tenant’s limit counts all its users, and no other tenant', async () => {
  await using app = await startTestApp({
    env: { RATE_LIMIT_TURNS: '10/60,2/60' },
    steps: [{ text: 'one' }, { text: 'two' }, { text: 'three' }],
  });
  const start = async (claims: { sub: string; tenant?: string }) => {
    const token = await app.token(claims);
    const created = await app.query('mutation { createConversation { id } }', {}, { token });
    const input = { conversationId: created.data.createConversation.id, content: 'hi', idempotencyKey: 'k' };
    return app.query(startRun, { input }, { token });
  };
  expect((await start({ sub: 'alice' })).errors).toEqual([]);
  expect((await start({ sub: 'bob' })).errors).toEqual([]);
  const third = await start({ sub: 'carol' });
  expect(third.errors[0]).toMatchObject({
    message: expect.stringContaining('your organisation'),
    extensions: { code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) },
  });
  expect((await start({ sub: 'carol', tenant: 'other' })).errors).toEqual([]);
  await expect.poll(() => app.app.db.run.count({ where: { status: 'COMPLETED' } })).toBe(3);
});

test('A tenant can be limited without its users', async () => {
  await using app = await startTestApp({ env: { RATE_LIMIT_AGENT_OPERATIONS: '0,1/60' } });
  const variables = { id: (await app.query('{ currentAgent { id } }')).data.currentAgent.id, input: { name: 'mine' } };
  expect((await app.query(updateAgent, variables)).errors[0]?.extensions.code).toBe('FORBIDDEN');
  const bob = await app.token({ sub: 'bob' });
  expect((await app.query(updateAgent, variables, { token: bob })).errors[0]?.extensions.code).toBe('RATE_LIMITED');
});

test('While Redis is unreachable each process counts for itself, and says so once', async () => {
  await using app = await startTestApp({
    env: { RATE_LIMIT_AGENT_OPERATIONS: '1/60', REDIS_URL: 'redis://127.0.0.1:1' },
  });
  const variables = { id: (await app.query('{ currentAgent { id } }')).data.currentAgent.id, input: { name: 'mine' } };
  // Not alice's to change: what counts is that the second try is not even looked at.
  expect((await app.query(updateAgent, variables)).errors[0]?.extensions.code).toBe('FORBIDDEN');
  expect((await app.query(updateAgent, variables)).errors[0]?.extensions.code).toBe('RATE_LIMITED');
  expect(app.logs.filter(({ msg }) => msg.startsWith('Redis unreachable'))).toHaveLength(1);
});

/** A Redis that counts whatever it is asked, and can fall silent: it takes commands then and answers none. */
async function openFakeRedis() {
  const fake = { silent: false, counted: 0, refused: 0, url: '', close: () => {} };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.on('data', (chunk) => {
      // What this client sends comes in whole commands: arrays of bulk strings, their name first.
      for (const [, name = ''] of chunk.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
        if (fake.silent) fake.refused += 1;
        else socket.write(answerTo(name.toLowerCase()));
      }
    });
  });
  const answerTo = (name: string) => {
    if (name === 'hello') return "-ERR unknown command 'HELLO'\r\n";
    if (name === 'info') return '$17\r\nredis_version:7.0\r\n';
    if (!name.startsWith('eval')) return '+OK\r\n';
    fake.counted += 1;
    return '*2\r\n:1\r\n:60000\r\n';
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('It listens on no port.');
  fake.url = `redis://127.0.0.1:${address.port}`;
  fake.close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return fake;
}

test('A Redis that falls silent counts as unreachable, until it answers again', async () => {
  const redis = await openFakeRedis();
  try {
    await using app = await startTestApp({ env: { RATE_LIMIT_AGENT_OPERATIONS: '1/600', REDIS_URL: redis.url } });
    const { id } = (await app.query('{ currentAgent { id } }')).data.currentAgent;
    const outages = () => app.logs.filter(({ msg }) => msg.startsWith('Redis unreachable')).length;
    // The fake says of each that it is the first; this process alone lets one pass.
    const tryAs = async (sub: string) => {
      const token = await app.token({ sub });
      return (await app.query(updateAgent, { id, input: { name: 'mine' } }, { token })).errors[0]?.extensions.code;
    };
    await expect.poll(async () => [await tryAs('warm'), redis.counted > 0]).toEqual(['FORBIDDEN', true]);
    expect(await tryAs('alice')).toBe('FORBIDDEN');
    expect(await tryAs('alice')).toBe('FORBIDDEN');

    redis.silent = true;
    expect(await tryAs('bob')).toBe('FORBIDDEN');
    expect(await tryAs('bob')).toBe('RATE_LIMITED');
    expect(redis.refused).toBeGreaterThan(0);
    await expect.poll(outages).toBe(1);
    expect(await tryAs('bob')).toBe('RATE_LIMITED');

    redis.silent = false;
    await expect.poll(() => tryAs('bob'), { timeout: 240_000 }).toBe('FORBIDDEN');
    expect(outages()).toBe(1);
    redis.silent = true;
    expect(await tryAs('carol')).toBe('FORBIDDEN');
    expect(await tryAs('carol')).toBe('RATE_LIMITED');
    await expect.poll(outages).toBe(2);
  } finally {
    redis.close();
  }
}, 240_000);

const redisUrl = process.env.TEST_REDIS_URL;

test.runIf(redisUrl)('Two instances count together in Redis', async () => {
  const env = { RATE_LIMIT_AGENT_OPERATIONS: '1/60', REDIS_URL: redisUrl ?? '', REDIS_PREFIX: `test-${randomUUID()}:` };
  await using first = await startTestApp({ env });
  await using second = await startTestApp({ env });
  const tryOn = async (app: typeof first) => {
    const variables = {
      id: (await app.query('{ currentAgent { id } }')).data.currentAgent.id,
      input: { name: 'mine' },
    };
    return (await app.query(updateAgent, variables)).errors[0]?.extensions.code;
  };
  expect(await tryOn(first)).toBe('FORBIDDEN');
  expect(await tryOn(second)).toBe('RATE_LIMITED');
  expect([...first.logs, ...second.logs].filter(({ msg }) => msg.startsWith('Redis'))).toEqual([]);
});

test('HTTP answers say which limits the request was counted against, and what is left of them', async () => {
  await using app = await startTestApp({
    env: { RATE_LIMIT_TURNS: '2/60,100/30', RATE_LIMIT_MUTATIONS: '10/60' },
    steps: [{ text: 'one' }],
  });
  const read = ({ headers }: { readonly headers: Headers }) =>
    [headers.get('ratelimit-policy'), headers.get('ratelimit')?.replaceAll(/t=\d+/g, 't=n')] as const;
  const created = await app.query('mutation { createConversation { id } }');
  expect(read(created)).toEqual(['"changes";q=10;w=60', '"changes";r=9;t=n']);
  const conversationId: string = created.data.createConversation.id;
  const start = (idempotencyKey: string, ifBusy: string) =>
    app.query(startRun, { input: { conversationId, content: 'hi', idempotencyKey, ifBusy } });
  const policy = '"turns";q=2;w=60, "turns-of-organisation";q=100;w=30';
  expect(read(await start('a', 'REJECT'))).toEqual([policy, '"turns";r=1;t=n, "turns-of-organisation";r=99;t=n']);
  await expect.poll(() => app.app.db.run.count({ where: { status: 'COMPLETED' } })).toBe(1);
  // To attach is free, and a query has no limit.
  expect(read(await start('a', 'REJECT'))).toEqual([null, undefined]);
  expect(read(await app.query('{ viewer { userId } }'))).toEqual([null, undefined]);
  app.model.add({ text: 'two' });
  await start('b', 'ENQUEUE');
  const refused = await start('c', 'ENQUEUE');
  expect(refused.status).toBe(429);
  expect(refused.headers.get('ratelimit')).toMatch(/^"turns";r=0;t=\d+$/);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  // Those of others are not affected.
  const other = await app.query(
    'mutation { createConversation { id } }',
    {},
    { token: await app.token({ sub: 'bob' }) },
  );
  expect(read(other)).toEqual(['"changes";q=10;w=60', '"changes";r=9;t=n']);
  await expect.poll(() => app.app.db.run.count({ where: { status: 'COMPLETED' } })).toBe(2);
});

test('The fields of a mutation are counted one by one, also in fragments', async () => {
  await using app = await startTestApp({ env: { RATE_LIMIT_MUTATIONS: '5/60' } });
  const aliases = (from: number) => [0, 1].map((n) => `a${from + n}: createConversation { id }`).join(' ');
  const inFragments = `mutation { ...Some ...Some ... on Mutation { ${aliases(2)} } }
    fragment Some on Mutation { ${aliases(0)} }`;
  const answer = await app.query(inFragments);
  expect(answer.errors).toEqual([]);
  expect(answer.headers.get('ratelimit')).toMatch(/^"changes";r=1;/);
  expect((await app.query(inFragments)).status).toBe(429);
});

test('Pages of allowed origins may read what is left of a limit', async () => {
  await using app = await startTestApp({ env: { RATE_LIMIT_MUTATIONS: '10/60' } });
  const answer = await app.query(
    'mutation { createConversation { id } }',
    {},
    { headers: { origin: 'http://localhost:5173' } },
  );
  expect(answer.headers.get('access-control-expose-headers')).toContain('ratelimit, ratelimit-policy');
});
