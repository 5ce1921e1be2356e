import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createDial } from '../../src/outbound/dial.ts';
import { createOpenAiModel } from '../../src/providers/llm/openai.ts';
import { startTestApp } from '../support/app.ts';
import { openSocketClient } from '../support/chat.ts';
import { collect, requestFor } from '../support/scripted-model/model-step.ts';

const switching = 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n';

/** A provider on bare sockets that switches protocols, for as long as `answers` is not changed. */
async function startSwitching() {
  const sockets = new Set<Socket>();
  const arrivals = new Set<() => void>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => {
      provider.requests++;
      if (provider.requests <= provider.answers) socket.write(switching);
      for (const look of arrivals) look();
    });
  });
  const provider = {
    requests: 0,
    answers: Number.POSITIVE_INFINITY,
    host: '',
    arrived: (count: number) =>
      new Promise<void>((resolve) => {
        const look = () => provider.requests >= count && resolve();
        arrivals.add(look);
        look();
      }),
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  provider.host = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return provider;
}

/** Alice, with an agent of hers that is at such a provider. */
async function startWithAgent() {
  const provider = await startSwitching();
  const app = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: `${provider.host}/` } });
  const alice = await openSocketClient(app, 'alice');
  const custom = { provider: 'custom', model: 'm', apiUrl: `http://${provider.host}/v1` };
  const agentId = await alice.createAgent({ name: 'switches', instructions: 'Be brief.', llm: custom, tts: custom });
  const startRun = async (): Promise<string> => {
    const conversationId = await alice.createConversation({ agentId });
    const input = { conversationId, content: 'Hello', idempotencyKey: crypto.randomUUID() };
    return (await alice.ask('mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }', { input })).startRun
      .id;
  };
  return { app, provider, alice, agentId, startRun };
}

test.each([
  ['switches protocols', switching],
  ['says to go on, and goes', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ['hints, and goes', 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'],
  ['goes', ''],
])('A server that %s is not taken for an answer', async (_, answer) => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`;
  for (const keepAlive of [true, false]) await expect(createDial({ keepAlive })(url)).rejects.toThrow(Error);
});

test('A connection that never answers, whatever its signal says, holds up nobody who has stopped', async () => {
  const dialled = Promise.withResolvers<void>();
  const model = createOpenAiModel({
    fetch: () => {
      dialled.resolve();
      return new Promise(() => {});
    },
  });
  const stop = new AbortController();
  const step = collect(model.stream(requestFor('CHAT_COMPLETIONS', 'https://x.example/v1'), stop.signal));
  await dialled.promise;
  const reason = new Error('Enough.');
  stop.abort(reason);
  expect((await step).thrown).toBe(reason);
});

test('A turn, a test of an agent, speech and a tool end if the other side switches protocols', async () => {
  const { app, provider, alice, agentId, startRun } = await startWithAgent();
  await using _closed = app;
  const events = await alice.runEvents('ws', await startRun()).rest();
  expect(events.at(-1)).toMatchObject({ __typename: 'RunFailed', error: { code: 'MODEL_ERROR' } });

  const tested = await alice.ask('mutation ($id: ID!) { testAgent(id: $id, prompt: "Hello") { ok problem } }', {
    id: agentId,
  });
  expect(tested.testAgent).toEqual({ ok: false, problem: 'UNREACHABLE' });

  const speak = 'mutation ($id: ID) { synthesizeSpeech(agentId: $id, text: "Hello") { url } }';
  const spoken = await app.query(speak, { id: agentId }, { token: alice.token });
  expect(spoken.errors).toMatchObject([{ extensions: { code: 'PROVIDER_FAILED', problem: 'UNREACHABLE' } }]);

  const token = await app.token({ sub: 'root', roles: ['admin'] });
  for (const method of ['GET', 'POST']) {
    const name = `switches_${method}`;
    const tool = {
      name,
      description: 'Switches.',
      parameters: { type: 'object' },
      method,
      url: `http://${provider.host}/`,
    };
    const create = 'mutation ($input: CreateHttpToolInput!) { createHttpTool(input: $input) { name } }';
    expect((await app.query(create, { input: tool }, { token })).errors).toEqual([]);
    const execute = 'mutation ($input: ExecuteToolInput!) { executeTool(input: $input) { ok error } }';
    const { data } = await app.query(execute, { input: { name, arguments: {} } }, { token });
    expect(data.executeTool).toEqual({ ok: false, error: 'The tool could not be reached.' });
  }
});

test('A turn whose provider switches protocols can be cancelled', async () => {
  const { app, provider, alice, startRun } = await startWithAgent();
  await using _closed = app;
  // The second try is left without an answer.
  provider.answers = 1;
  const id = await startRun();
  await provider.arrived(2);
  const { cancelRun } = await alice.ask('mutation ($id: ID!) { cancelRun(id: $id) { status } }', { id });
  expect(cancelRun.status).toBe('CANCELLED');
});

test('The server closes while the provider of a turn switches protocols', async () => {
  const { app, provider, startRun } = await startWithAgent();
  await startRun();
  await provider.arrived(1);
  await app[Symbol.asyncDispose]();
});
