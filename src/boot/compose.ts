import type { Logger } from 'pino';
import type { AgentDependencies } from '../agents/dependencies.ts';
import { addDevelopmentAgent, readEnvironmentProviders } from '../agents/development.ts';
import { listAgentsWithTools } from '../agents/list-agents-with-tools.ts';
import { readAllowedModels } from '../agents/providers/operator-key.ts';
import { checkSeededAgents } from '../agents/seeded.ts';
import { StartError } from '../api/errors.ts';
import type { Env } from '../config/env.ts';
import { ContextRuntime } from '../context/runtime.ts';
import { KnownConversations } from '../conversations/known-conversations.ts';
import { readConversation } from '../conversations/read.ts';
import { removeAgentFromSettings } from '../conversations/settings.ts';
import { demoModelName } from '../demo/demo.ts';
import type { ConversationFeed } from '../feed/conversation-feed.ts';
import type { AnswerBytes } from '../limits/answer-bytes.ts';
import { ConcurrencyLimit } from '../limits/concurrency-limit.ts';
import { FairQueue } from '../limits/fair-queue.ts';
import { createRateLimit } from '../limits/rate-limit.ts';
import { AddressGuard } from '../outbound/address-guard.ts';
import { RealtimeRuntime } from '../realtime/runtime.ts';
import { findRealtimeCaller } from '../realtime/tool-caller.ts';
import { ReplayRoom } from '../runs/replay-room.ts';
import { RunScheduler } from '../runs/scheduler/scheduler.ts';
import { ScenarioFolder } from '../scenarios/files/folder.ts';
import { ScenarioFileError } from '../scenarios/files/format.ts';
import { assertAgentUnused } from '../scenarios/members.ts';
import { SpeechRuntime } from '../speech/dependencies.ts';
import { ProvisionedViewers } from '../tenants/provisioned-viewers.ts';
import { readSeed } from '../tenants/seed-file.ts';
import type { ToolConsumers } from '../tools/registry/deps.ts';
import { ToolRegistry } from '../tools/registry/registry.ts';
import { type OperatorTools, readToolsFile } from '../tools/registry/tools-file.ts';
import type { Stores } from './connect-stores.ts';
import { openModel } from './default-model.ts';

/** The parts that carry out the operations of the graph. */
export interface Parts {
  readonly agents: AgentDependencies;
  readonly runs: RunScheduler;
  readonly feed: ConversationFeed;
  readonly speech: SpeechRuntime;
  readonly snapshots: ContextRuntime;
  readonly realtime: RealtimeRuntime;
  readonly viewers: ProvisionedViewers;
  /** Names the default model. */
  readonly modelDescription: string;
  /** Ends running checks of agents and direct tool calls. Resolves when the usage of the checks is stored. */
  endCalls(): Promise<void>;
}

/** Starts that wait for others of their conversation, and of their tenant: more are refused. */
const maxWaitingStarts = 250;
const maxWaitingStartsOfTenant = 1_000;

/** How long a provider may take for the check of a guardrail, in milliseconds. */
const guardrailTimeoutMs = 10_000;

const engineLimits = { maxRetries: 2, maxResultLength: 20_000, historyTokens: 100_000 } as const;

/**
 * Composes the parts on their stores, and recovers the runs of processes that died. They are closed with `opening`.
 * @throws {StartError} when a file that the environment names is invalid
 */
export async function compose(
  env: Env,
  stores: Stores,
  { logger, answers }: { readonly logger: Logger; readonly answers: AnswerBytes },
  opening: AsyncDisposableStack,
): Promise<Parts> {
  const { db, upkeep, availability, keys, config, feed, exclusive, redis } = stores;
  const refuseSeed = (cause: unknown): never => {
    throw new StartError(`The seed of SEED_FILE (${env.seedFile}) cannot be used.`, { cause });
  };
  const seed = await readSeed(env.seedFile).catch(refuseSeed);
  const operator = await readOperatorTools(env);
  const guard = new AddressGuard(env.modelAllowedHosts);
  const { model, moderations, defaults, description: modelDescription } = await openModel(env, guard, opening);
  const allowedModels = readAllowedModels(env.modelsAllowed, defaults);
  try {
    checkSeededAgents({ defaults, guard, allowedModels }, seed.agents);
  } catch (cause) {
    refuseSeed(cause);
  }
  if (env.production && !env.openai)
    logger.warn('neither OPENAI_API_KEY nor OPENAI_BASE_URL is set: using the demo model');

  const limitOf = (what: string, rates: Env['rateLimits']['turns']) => createRateLimit(what, rates, redis);
  const operationLimit = limitOf('changes of agents, scenarios and tools', env.rateLimits.agentOperations);
  const callLimit = limitOf('tool calls', env.rateLimits.tools);
  const ending = new AbortController();
  const { signal: closing } = ending;
  const limits = { callLimit, changeLimit: operationLimit };
  const consumers: ToolConsumers = {
    listAgentsWithTools,
    findConversation: async (viewer, conversations, id) => (await readConversation(viewer, conversations, id)).id,
    findRealtimeCaller: (viewer, id, path) => findRealtimeCaller(viewer, realtime, id, path),
  };
  const tools = opening.use(
    new ToolRegistry({ db, keys, config, guard, logger, ...limits, operator, consumers, closing, calls: new Set() }),
  );

  const agents: AgentDependencies = {
    db,
    keys,
    config,
    defaults,
    guard,
    allowedModels,
    model,
    guardrails: { model, moderations, timeoutMs: guardrailTimeoutMs },
    orchestration: { timeoutMs: env.orchestrationTimeoutSeconds * 1000 },
    logger,
    operationLimit,
    testLimit: limitOf('tests of agents', env.rateLimits.agentTests),
    testTimeoutMs: env.agentTestTimeoutSeconds * 1000,
    closing,
    tests: new Set(),
    references: { assertUnused: assertAgentUnused, release: removeAgentFromSettings },
    toolNames: async (viewer) => new Set((await tools.listTools(viewer)).map((tool) => tool.name)),
  };

  const { maxRetries, maxResultLength, historyTokens } = engineLimits;
  const runs = new RunScheduler({
    db,
    upkeep,
    availability,
    feed,
    exclusive,
    model,
    logger,
    agents,
    tools,
    limits: { maxSteps: env.maxSteps, runTimeoutMs: env.runTimeoutSeconds * 1000, maxRetries, maxResultLength },
    sizeLimits: { maxEvents: env.maxRunEvents, maxBytes: env.maxRunBytes, maxLiveBytes: env.maxLiveRunBytes },
    historyTokens,
    turnLimit: limitOf('turns', env.rateLimits.turns),
    openTurns: new ConcurrencyLimit('running turns', { ...env.turnsAtOnce, process: null }),
    startsByConversation: new FairQueue('turns of this conversation', { running: 1, waiting: maxWaitingStarts }),
    knownConversations: new KnownConversations(),
    startsByTenant: new FairQueue('turns of your organisation', {
      running: Math.max(1, Math.floor(stores.poolSize / 2)),
      waiting: maxWaitingStartsOfTenant,
    }),
    replayRoom: new ReplayRoom(answers),
    approvalTtlSeconds: env.approvalTtlSeconds,
    outageMs: env.outageSeconds * 1000,
    drainMs: env.drainSeconds * 1000,
  });
  await runs.start();
  opening.defer(() => runs.close());

  const speechLimit = limitOf('speech requests', env.rateLimits.speech);
  const speech = new SpeechRuntime({ db, agents, limit: speechLimit, ttlMs: env.speechTtlSeconds * 1000, logger });
  speech.start();
  opening.defer(() => speech.close());

  const snapshots = opening.use(new ContextRuntime({ db, tools, logger, ...env.context }));
  snapshots.start();
  const realtime = new RealtimeRuntime({
    runs,
    // The demo endpoint has one realtime model.
    defaults: env.openai === null ? { ...env.realtime, model: demoModelName } : env.realtime,
    limit: limitOf('realtime requests', env.rateLimits.realtime),
    logger,
  });
  realtime.start();
  opening.defer(() => realtime.close());

  const providers = readEnvironmentProviders(env);
  const scenarioFiles = await loadScenarioFiles(env, agents, operator);
  const viewers = new ProvisionedViewers(db, seed, async (tenantId) => {
    await addDevelopmentAgent(agents, tenantId, providers);
    await scenarioFiles.load(tenantId);
  });
  const endCalls = async () => {
    ending.abort();
    await Promise.allSettled([...agents.tests, ...tools.deps.calls]);
  };
  tools.connectOperatorServers();
  return { agents, runs, feed, speech, snapshots, realtime, viewers, modelDescription, endCalls };
}

/** The tools that the operator provides to every tenant. */
function readOperatorTools({ toolsFile }: Env): Promise<OperatorTools> {
  return readToolsFile(toolsFile).catch((cause: unknown) => {
    throw new StartError('The tools of TOOLS_FILE cannot be used.', { cause });
  });
}

/** Loads the files of SCENARIOS_DIR for all existing tenants. */
async function loadScenarioFiles(
  env: Env,
  agents: AgentDependencies,
  operatorTools: OperatorTools,
): Promise<ScenarioFolder> {
  try {
    const files = await ScenarioFolder.open({ ...agents, operatorTools }, env.scenariosDir);
    await files.loadAll();
    return files;
  } catch (cause) {
    if (!(cause instanceof ScenarioFileError)) throw cause;
    throw new StartError(`The scenarios of SCENARIOS_DIR (${env.scenariosDir}) cannot be loaded.`, { cause });
  }
}
