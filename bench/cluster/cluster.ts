import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { mintDevelopmentToken } from '../../src/auth/development.ts';
import { listening } from '../listen.ts';
import { probe } from '../probe-arguments.ts';
import { PostgresCpu } from '../proc.ts';
import { Child } from '../rpc.ts';
import { createDatabase } from '../switchboard.ts';
import { type RedisServer, startRedis } from './redis-server.ts';
import type { Talk } from './seen-turn.ts';

/** A server in a process of its own. */
export interface Instance {
  readonly name: string;
  readonly child: Child;
  /** `http://host:port` */
  readonly url: string;
  /** Ends it in order, by SIGTERM, and waits until its process is gone. */
  stop(): Promise<void>;
}

/** One PostgreSQL, one Redis, one model, and the clients of its instances in a process of their own. */
export interface Cluster extends AsyncDisposable {
  readonly redis: RedisServer;
  readonly load: Child;
  /** Whether a little of everything is done: to see that it works, not for figures. */
  readonly short: boolean;
  /** CPU seconds of PostgreSQL for this cluster's database: a sum that grows. */
  readDatabaseCpu(): number;
  /** Starts an instance; it ends with the cluster at the latest. @param settings of its environment, beside the usual */
  start(settings?: Readonly<Record<string, string>>): Promise<Instance>;
  tokenOf(user: string): Promise<string>;
  /** Creates conversations, spread over users that are named by their number. */
  createConversations(at: Instance, count: number): Promise<Talk[]>;
}

/** For reading /metrics. */
export const metricsToken = 'metrics-of-the-cluster';
/** Users that the conversations are spread over. */
export const users = 100;
const batch = 10;

/** All processes that were started: also after an error that nobody has expected, none of them may stay. */
const children = new Set<Child>();
process.on('exit', endChildren);

/** Ends all of them without asking. Databases and folders go with their clusters. */
export function endChildren(): void {
  for (const child of children) child.kill();
}

const answer = z.object({ data: z.object({ createConversation: z.object({ id: z.string() }) }) });

/** Opens a cluster without instances. @param databaseUrl of a server on which databases may be created */
export async function openCluster(databaseUrl: string, short: boolean): Promise<Cluster> {
  await using opening = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'switchboard-cluster-'));
  opening.defer(() => rm(dataDir, { recursive: true, force: true }));
  const url = await createDatabase({ databaseUrl }, opening);
  const redis = opening.use(await startRedis());
  const model = opening.use(keep(new Child('model', new URL('./model.ts', import.meta.url))));
  const modelUrl = `${await model.waitForOutput(listening)}/v1`;
  const toolsFile = join(dataDir, 'tools.json');
  await writeFile(toolsFile, JSON.stringify({ version: 1, httpTools: listTools(modelUrl) }));
  const load = opening.use(keep(new Child('load', new URL('./load.ts', import.meta.url))));
  const instances = opening.use(new AsyncDisposableStack());
  const database = new PostgresCpu(new URL(url).pathname.slice(1));
  const tokens = new Map<string, Promise<string>>();
  const tokenOf = (user: string) => {
    const claims = { sub: user, tenant: 'cluster', roles: [], ttlSeconds: 86_400 };
    const token = tokens.get(user) ?? mintDevelopmentToken(dataDir, claims);
    tokens.set(user, token);
    return token;
  };
  let count = 0;
  const opened = opening.move();
  return {
    redis,
    load,
    short,
    readDatabaseCpu: () => database.read(),
    tokenOf,
    async start(settings = {}) {
      const name = `instance ${++count}`;
      const env = {
        DATA_DIR: dataDir,
        DATABASE_URL: url,
        REDIS_URL: redis.url,
        PORT: '0',
        // As in production.
        LOG_LEVEL: 'info',
        METRICS_TOKEN: metricsToken,
        OPENAI_BASE_URL: modelUrl,
        MODEL: 'cluster',
        TOOLS_FILE: toolsFile,
        // The limits of what one person does; here one machine is a thousand persons.
        RATE_LIMIT_TURNS: '0',
        RATE_LIMIT_MUTATIONS: '0',
        MAX_TURNS_PER_USER: '0',
        MAX_TURNS_PER_TENANT: '0',
        SOCKETS_PER_USER: '1000',
        SOCKETS_PER_TENANT: '10000',
        UNAUTHENTICATED_SOCKETS_PER_ADDRESS: '500',
        ...settings,
      };
      const main = new URL('../../src/main.ts', import.meta.url);
      const child = instances.use(keep(new Child(name, main, { cwd: dataDir, env, execArgv: probe })));
      const address = await child.waitForOutput(/"url":"([^"]+)".*"listening"/);
      return { name, child, url: address, stop: () => child[Symbol.asyncDispose]() };
    },
    async createConversations(at, amount) {
      const create = async (place: number): Promise<Talk> => {
        const token = await tokenOf(`user-${place % users}`);
        const response = await fetch(`${at.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
          body: JSON.stringify({ query: 'mutation { createConversation { id } }' }),
        });
        return { token, conversationId: answer.parse(await response.json()).data.createConversation.id };
      };
      const talks: Talk[] = [];
      for (let from = 0; from < amount; from += batch) {
        const some = Array.from({ length: Math.min(batch, amount - from) }, (_, n) => create(from + n));
        talks.push(...(await Promise.all(some)));
      }
      return talks;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Tools of the model's process: one never answers, the other one has to be approved. */
function listTools(modelUrl: string): object[] {
  const tool = (name: string, requiresApproval: boolean) => ({
    ...{ name, description: name, method: 'POST', url: new URL(`/tools/${name}`, modelUrl).href, timeoutMs: 120_000 },
    ...{ parameters: { type: 'object', properties: {} }, requiresApproval },
  });
  return [tool('wait_long', false), tool('pay', true)];
}

function keep(child: Child): Child {
  children.add(child);
  return child;
}
