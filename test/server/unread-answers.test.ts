import { once } from 'node:events';
import { type IncomingMessage, request as sendRequest } from 'node:http';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { shareApp } from '../support/app.ts';

// Clients that ask for large answers and do not read them: others are served, and the client gets no more until it reads.

const megabyte = 1024 * 1024;
const app = shareApp({
  env: {
    MAX_ANSWER_BYTES: String(24 * megabyte),
    ANSWER_BYTES_PER_USER: String(30 * megabyte),
    ANSWER_BYTES_PER_TENANT: String(60 * megabyte),
    ANSWER_BYTES_PER_PROCESS: String(120 * megabyte),
  },
});

let conversation: string;
beforeAll(async () => {
  const { data } = await app.query('mutation { createConversation { id } }');
  conversation = data.createConversation.id;
  const id = conversation.slice('conv_'.length);
  await app.app.db.$executeRaw`
    INSERT INTO messages (id, tenant_id, conversation_id, position, role, content)
    SELECT gen_random_uuid(), 'acme', ${id}::uuid, n, 'USER', repeat(chr(128512), 100000)
    FROM generate_series(1, 40) AS n`;
  await app.app.db.$executeRaw`UPDATE conversations SET message_count = 40 WHERE id = ${id}::uuid`;
});

const query = 'query ($id: ID!) { conversation(id: $id) { messages { edges { node { content } } } } }';

/** Asks over HTTP and does not read the answer. */
async function askWithoutReading(): Promise<IncomingMessage> {
  const request = sendRequest(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${await app.token()}` },
  });
  request.on('error', () => {});
  onTestFinished(() => void request.destroy());
  request.end(JSON.stringify({ query, variables: { id: conversation } }));
  const [response]: IncomingMessage[] = await once(request, 'response');
  if (!response) throw new Error('There is no response.');
  response.on('error', () => {}).pause();
  return response;
}

/** Asks over a socket and reads nothing more from it. */
async function askOverSocket(): Promise<WebSocket> {
  const socket = new WebSocket(app.wsUrl, 'graphql-transport-ws');
  socket.on('error', () => {});
  onTestFinished(() => socket.terminate());
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${await app.token()}` } }));
  await once(socket, 'message');
  const payload = { query, variables: { id: conversation } };
  socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload }), () => socket.pause());
  return socket;
}

/** Asks for a large answer, and tells whether it has come. */
function askLarge() {
  const state = { answered: false };
  const answer = app.query(query, { id: conversation }).then((result) => {
    state.answered = true;
    return result;
  });
  return { state, answer };
}

/** Small operations of the same user and of others are answered, one after another. */
async function expectOthersServed(): Promise<void> {
  for (const claims of [{}, { sub: 'bob' }, { sub: 'x', tenant: 'other' }]) {
    const { errors } = await app.query('{ viewer { userId } }', {}, { token: await app.token(claims) });
    expect(errors).toEqual([]);
  }
}

describe('large answers that are not read', () => {
  test('A large answer waits until the one before it was read over HTTP, and others are served meanwhile', async () => {
    const response = await askWithoutReading();
    const { state, answer } = askLarge();
    for (let round = 0; round < 5; round += 1) await expectOthersServed();
    expect(state.answered).toBe(false);
    let bytes = 0;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    const ended = once(response, 'end');
    response.resume();
    const { data, errors } = await answer;
    expect(errors).toEqual([]);
    expect(data.conversation.messages.edges).toHaveLength(40);
    // The last of the first answer may still be in the buffers of the system.
    await ended;
    expect(bytes).toBeGreaterThan(16 * 1_000_000);
  });

  test('A large answer waits until the client of the one before it has disconnected', async () => {
    const response = await askWithoutReading();
    const { state, answer } = askLarge();
    for (let round = 0; round < 5; round += 1) await expectOthersServed();
    expect(state.answered).toBe(false);
    response.destroy();
    expect((await answer).errors).toEqual([]);
  });

  test('A large answer waits until the one before it was taken from a socket', async () => {
    const socket = await askOverSocket();
    // Its frame is on its way: that is seen by what waits for it.
    await expect.poll(() => app.logs.filter(({ transport }) => transport === 'ws').length).toBeGreaterThan(0);
    const { state, answer } = askLarge();
    for (let round = 0; round < 5; round += 1) await expectOthersServed();
    expect(state.answered).toBe(false);
    socket.terminate();
    expect((await answer).errors).toEqual([]);
  });

  test('The log says that large answers wait', async () => {
    const told = app.logs.filter(({ msg }) => msg === 'large answers wait for others to be read, or are refused');
    expect(told.length).toBeGreaterThan(0);
    expect(told[0]).toMatchObject({ heldBytes: expect.any(Number), waiting: expect.any(Number), refused: 0 });
  });

  test('A large answer is refused when those before it are not read for too long', async () => {
    await askWithoutReading();
    const refused = await app.query(query, { id: conversation });
    expect(refused).toMatchObject({
      status: 429,
      errors: [
        {
          message: 'Too many large answers at once. Read those that you have asked for.',
          extensions: { code: 'RATE_LIMITED', retryAfterMs: 1_000 },
        },
      ],
    });
  });
});
