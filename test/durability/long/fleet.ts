import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startModelServer } from '../../../src/demo/server.ts';
import type { ReceivedRequest, ScriptedStep } from '../../../src/demo/steps.ts';
import { openSocketClient, type SocketClient } from '../../support/chat.ts';
import { createTestDatabase } from '../../support/database/database.ts';
import { type DatabaseProxy, openProxy } from '../../support/database/proxy.ts';
import { type Server, startServer } from '../../support/server.ts';

/** Instances on one database, a model that answers every turn alike, and a tool that notes what it is asked. */
export interface Fleet extends AsyncDisposable {
  /** The instances that live. Those that a test ends are to be replaced by `start`. */
  readonly instances: Instance[];
  /** The idempotency keys that the tool has received. */
  readonly received: readonly string[];
  /** Starts one more instance. */
  start(options?: InstanceOptions): Promise<Instance>;
  /** A conversation whose agent has the tool. */
  createConversation(): Promise<string>;
}

/** A server in a process of its own, alice on it, and the way between it and the database. */
export interface Instance {
  readonly server: Server;
  readonly alice: SocketClient;
  readonly proxy: DatabaseProxy;
}

interface InstanceOptions {
  /** How far the clock of the process is ahead, in milliseconds. */
  readonly skewMs?: number;
}

/** What every turn says, before and after its call. */
const texts = [
  'I have a look at the order that you name, and I buy what is on it: please wait for a moment.',
  'It is bought, as far as I can tell, and it will be with you before the week is over. Is there more?',
] as const;

/** What a turn is asked for, and what it says. */
export interface Ask {
  readonly content: string;
  readonly texts: readonly string[];
}

/** A turn with a call. */
export const buying: Ask = { content: 'Buy 1042', texts };
/** A turn of one step, over before anybody stores what it is writing. */
export const talking: Ask = { content: 'Only talk', texts: [texts[1]] };

/** How long the tool takes, in milliseconds: long enough that a process can end in the middle of a call. */
const toolMs = 150;
const msPerToken = 40;

/** Opens a database, a model and a tool, and starts instances. @param options of each of them */
export async function openFleet(options: readonly InstanceOptions[], needsApproval = false): Promise<Fleet> {
  await using opening = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-test-'));
  opening.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  const database = opening.use(await createTestDatabase());
  const model = await startModelServer({ respond });
  opening.defer(model.close);
  const tool = opening.use(await openTool());
  const instances: Instance[] = [];
  // Also of those that are started later.
  const running = opening.use(new AsyncDisposableStack());
  const start: Fleet['start'] = async ({ skewMs = 0 } = {}) => {
    const proxy = running.use(await openProxy(database.url));
    const env = {
      DATABASE_URL: proxy.url,
      OPENAI_BASE_URL: model.url,
      MODEL: 'test-model',
      MODEL_ALLOWED_HOSTS: `${new URL(tool.url).host}/`,
      // One user follows every turn, and those of killed instances wait for the end of a lease at the same time.
      SOCKETS_PER_USER: '1000',
      MAX_TURNS_PER_USER: '1000',
      ...(skewMs === 0 ? {} : { NODE_OPTIONS: `--import ${skewClock}`, CLOCK_SKEW_MS: String(skewMs) }),
    };
    const server = running.use(await startServer(folder, env));
    const alice = await openSocketClient(server, 'alice');
    const instance = { server, alice, proxy };
    instances.push(instance);
    return instance;
  };
  const started = await Promise.all(options.map((each) => start(each)));
  const admin = await openSocketClient(started[0]?.server ?? (await start()).server, { sub: 'root', roles: ['admin'] });
  const { createAgent } = await createBuyer(admin, tool.url, needsApproval);
  const opened = opening.move();
  return {
    instances,
    received: tool.received,
    start,
    createConversation: () => {
      const [first] = instances;
      if (!first) throw new Error('No instance lives.');
      return first.alice.createConversation({ agentId: createAgent.id });
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** A module that shifts the clock of a process (Date) by CLOCK_SKEW_MS. */
const skewClock = new URL('./skew-clock.ts', import.meta.url).href;

async function createBuyer(admin: SocketClient, url: string, requiresApproval: boolean) {
  const tool = {
    name: 'buy',
    description: 'Buys what is on an order.',
    parameters: { type: 'object', properties: { orderNumber: { type: 'string' } }, required: ['orderNumber'] },
    method: 'POST',
    url,
    requiresApproval,
  };
  const agent = { name: 'buyer', instructions: 'Buy.', tools: ['buy'], isShared: true };
  await admin.ask('mutation ($input: CreateHttpToolInput!) { createHttpTool(input: $input) { id } }', { input: tool });
  return admin.ask('mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }', { input: agent });
}

/** Whatever was before: a text and the call, and when the call has a result, a text. */
function respond({ messages }: ReceivedRequest): ScriptedStep {
  const last = messages.at(-1);
  if (JSON.stringify(last).includes(talking.content)) return { text: texts[1] };
  const isAnswered = last?.role === 'tool';
  if (isAnswered) return { text: texts[1], delayMs: msPerToken };
  const calls = [{ id: 'buy', name: 'buy', arguments: { orderNumber: '1042' } }];
  return { text: texts[0], calls, delayMs: msPerToken };
}

/** The system behind the tool. */
async function openTool() {
  const received: string[] = [];
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      received.push(String(request.headers['idempotency-key']));
      const answer = () => response.setHeader('content-type', 'application/json').end('{"bought":true}');
      setTimeout(answer, toolMs).unref();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/buy`,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
