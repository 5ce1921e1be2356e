import type { Logger } from 'pino';
import type { AgentDependencies } from '../agents/dependencies.ts';
import { addDevelopmentAgent, readEnvironmentProviders } from '../agents/development.ts';
import { listAgentsWithTools } from '../agents/list-agents-with-tools.ts';
import { readAllowedModels } from '../agents/providers/operator-key.ts';
import { checkSeededAgents } from '../agents/seeded.ts';
import { StartError } from '../api/errors.ts';
import type { Env } from '../config/env.ts';
import type { ContactDependencies } from '../contacts/dependencies.ts';
import { ContextRuntime } from '../context/runtime.ts';
import { KnownConversations } from '../conversations/known-conversations.ts';
import { readActiveConversation, readProjectOf } from '../conversations/read.ts';
import { keepMessagesIndexed } from '../conversations/search/index-job.ts';
import { removeAgentFromSettings } from '../conversations/settings.ts';
import { openTitles } from '../conversations/titles/title-job.ts';
import { demoModelName } from '../demo/demo.ts';
import { ExportRuntime } from '../exports/runtime.ts';
import type { Runtimes } from '../graphql/context.ts';
import { JobQueue } from '../jobs/job-queue.ts';
import { reindexBasesOfModel } from '../knowledge/reindex.ts';
import type { CompleteGeneration } from '../knowledge/runtime.ts';
import { findReadableBases } from '../knowledge/search/find-bases.ts';
import type { SearchRuntime } from '../knowledge/search/search.ts';
import { tellBases } from '../knowledge/search/told-bases.ts';
import { indexVectors } from '../knowledge/vectors/index-vectors.ts';
import { VectorRuntime } from '../knowledge/vectors/runtime.ts';
import type { AnswerBytes } from '../limits/answer-bytes.ts';
import { FairQueue } from '../limits/fair-queue.ts';
import { createRateLimit } from '../limits/rate-limit.ts';
import { SharedConcurrencyLimit } from '../limits/shared-limit.ts';
import { TokenBudget } from '../limits/token-budget.ts';
import type { MemoryRuntime } from '../memories/runtime.ts';
import { tellMemories } from '../memories/tell.ts';
import { memoryToolNames } from '../memories/tools.ts';
import { openMemoryVectors } from '../memories/vectors.ts';
import { AddressGuard } from '../outbound/address-guard.ts';
import { RealtimeRuntime } from '../realtime/runtime.ts';
import { findRealtimeCaller } from '../realtime/tool-caller.ts';
import { keepRetention } from '../retention/retention-job.ts';
import { ReplayRoom } from '../runs/replay-room.ts';
import { RunScheduler } from '../runs/scheduler/scheduler.ts';
import { ScenarioFolder } from '../scenarios/files/folder.ts';
import { ScenarioFileError } from '../scenarios/files/format.ts';
import type { CommonToolNames } from '../scenarios/files/missing-tools.ts';
import { assertAgentUnused } from '../scenarios/members.ts';
import { pollSchedules } from '../schedules/poll.ts';
import { SpeechRuntime } from '../speech/dependencies.ts';
import { ProvisionedViewers } from '../tenants/provisioned-viewers.ts';
import { readSeed } from '../tenants/seed-file.ts';
import type { TicketRuntime } from '../tickets/runtime.ts';
import type { ToolConsumers } from '../tools/registry/deps.ts';
import { ToolRegistry } from '../tools/registry/registry.ts';
import { type OperatorTools, readToolsFile } from '../tools/registry/tools-file.ts';
import type { Stores } from './connect-stores.ts';
import { contributeTools } from './contribute-tools.ts';
import { openModel } from './default-model.ts';
import { openAttachments } from './open-attachments.ts';
import { openKnowledge } from './open-knowledge.ts';
import { openWebhooks } from './open-webhooks.ts';

/** The parts that carry out the operations of the graph. */
export interface Parts {
  readonly runtimes: Runtimes & { readonly runs: RunScheduler };
  readonly agents: AgentDependencies;
  readonly jobs: JobQueue;
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
  const { db, upkeep, availability, keys, config, feed, ticketFeed, exclusive, redis, counts } = stores;
  const refuseSeed = (cause: unknown): never => {
    throw new StartError(`The seed of SEED_FILE (${env.seedFile}) cannot be used.`, { cause });
  };
  const jobs = new JobQueue({ database: stores.pool, logger });
  const seed = await readSeed(env.seedFile).catch(refuseSeed);
  const operator = await readOperatorTools(env);
  const guard = new AddressGuard(env.modelAllowedHosts);
  const { model, moderations, defaults, ...opened } = await openModel(env, guard, opening);
  const { embeddings, embeddingDefault, description: modelDescription } = opened;
  const allowedModels = readAllowedModels(env.modelsAllowed, defaults);
  try {
    checkSeededAgents({ defaults, guard, allowedModels }, seed.agents);
  } catch (cause) {
    refuseSeed(cause);
  }
  if (env.production && !env.openai)
    logger.warn('neither OPENAI_API_KEY nor OPENAI_BASE_URL is set: using the demo model');

  const limitOf = (what: string, rates: Env['rateLimits']['turns']) => createRateLimit(what, rates, redis);
  const operationLimit = limitOf('changes of agents, scenarios, tools and projects', env.rateLimits.agentOperations);
  const callLimit = limitOf('tool calls', env.rateLimits.tools);
  const ending = new AbortController();
  const { signal: closing } = ending;
  const limits = { callLimit, changeLimit: operationLimit };
  const consumers: ToolConsumers = {
    listAgentsWithTools,
    findConversation: async (viewer, id) => (await readActiveConversation(viewer, { db, config }, id)).id,
    findProject: readProjectOf,
    findRealtimeCaller: (viewer, id, path) => findRealtimeCaller(viewer, realtime, id, path),
  };
  const vectors = await VectorRuntime.open({ db, keys, port: embeddings, logger, fallback: embeddingDefault });
  const search: SearchRuntime = { db, vectors, logger, limit: callLimit };
  const contacts: ContactDependencies = { db, defaultCountry: env.contactCountry };
  const webhooks = openWebhooks(env, { db, keys, guard, logger }, opening);
  const memory: MemoryRuntime = { db, isOn: env.remembers, vectors: await openMemoryVectors(db, vectors, logger) };
  const tickets: TicketRuntime = { db, feed: ticketFeed, sender: webhooks.sender };
  const tools = opening.use(
    new ToolRegistry({
      db,
      keys,
      config,
      guard,
      logger,
      ...limits,
      operator,
      contributed: contributeTools({ db, contacts, feed, search, tickets, memory }),
      consumers,
      closing,
      calls: new Set(),
    }),
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
    tokenBudget: new TokenBudget({ db, budgets: env.tokenBudgets }),
    orchestration: { timeoutMs: env.orchestrationTimeoutSeconds * 1000 },
    logger,
    operationLimit,
    testLimit: limitOf('tests of agents', env.rateLimits.agentTests),
    testTimeoutMs: env.agentTestTimeoutSeconds * 1000,
    closing,
    tests: new Set(),
    references: { assertUnused: assertAgentUnused, release: removeAgentFromSettings },
    findKnowledgeBases: (viewer, ids, path) => findReadableBases(viewer, db, ids, path),
    toolNames: async (viewer) => new Set((await tools.listTools(viewer)).map((tool) => tool.name)),
  };

  const changeLimit = limitOf('changes of knowledge', env.rateLimits.knowledge);
  const embed: CompleteGeneration = (written, signal, onProgress) =>
    indexVectors(vectors, written, { signal, onProgress });
  const knowledge = openKnowledge(
    env,
    stores,
    { jobs, guard, changeLimit, logger, embeddingDefault, completeGeneration: embed },
    opening,
  );
  vectors.versions.onChange = (tx, tenantId, key) => reindexBasesOfModel(tx, knowledge, tenantId, key);
  const speechLimit = limitOf('speech requests', env.rateLimits.speech);
  const speech = new SpeechRuntime({ db, agents, limit: speechLimit, ttlMs: env.speechTtlSeconds * 1000, logger });
  speech.start();
  opening.defer(() => speech.close());
  const { maxRetries, maxResultLength, historyTokens } = engineLimits;
  const titles = openTitles({ db, jobs, agents, feed, logger }, env.titleModel);
  const uploads = { guard, speech, limit: limitOf('uploads', env.rateLimits.uploads), logger };
  const { attachments, files } = openAttachments(env, stores, uploads, opening);
  const runs = new RunScheduler({
    db,
    upkeep,
    availability,
    feed,
    knowledge,
    exclusive,
    sharedLog: stores.sharedLog,
    model,
    logger,
    agents,
    tools,
    tellBases,
    memory: { ...memory, toolNames: memoryToolNames, tell: tellMemories },
    limits: { maxSteps: env.maxSteps, runTimeoutMs: env.runTimeoutSeconds * 1000, maxRetries, maxResultLength },
    sizeLimits: { maxEvents: env.maxRunEvents, maxBytes: env.maxRunBytes, maxLiveBytes: env.maxLiveRunBytes },
    historyTokens,
    titles,
    storesReasoning: env.storesReasoning,
    files,
    turnLimit: limitOf('turns', env.rateLimits.turns),
    openTurns: new SharedConcurrencyLimit('running turns', { ...env.turnsAtOnce, process: null }, { counts }),
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
  opening.use(pollSchedules(runs));
  const exported = { ttlSeconds: env.exportTtlSeconds, maxImportBytes: env.importMaxBytes };
  const exports = opening.use(new ExportRuntime({ db, ...exported, logger }));
  exports.start();
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

  opening.use(keepRetention({ db, jobs, retention: env.retention, logger }));
  opening.use(keepMessagesIndexed({ db, jobs, logger }));

  // What has registered its jobs is there by now.
  await jobs.start();
  opening.defer(() => jobs.close());
  const providers = readEnvironmentProviders(env);
  const { mcpServers } = operator;
  const scenarioFiles = await loadScenarioFiles(env, agents, { fixedNames: tools.fixedNames, mcpServers });
  const viewers = new ProvisionedViewers({ db, knowledge }, seed, async (tenantId) => {
    await addDevelopmentAgent(agents, tenantId, providers);
    await scenarioFiles.load(tenantId);
  });
  const endCalls = async () => {
    ending.abort();
    await Promise.allSettled([...agents.tests, ...tools.deps.calls]);
  };
  tools.connectOperatorServers();
  const runtimes = {
    db,
    runs,
    feed,
    speech,
    contacts,
    search,
    memory,
    exports,
    attachments,
    snapshots,
    knowledge,
    realtime,
    webhooks,
    tickets,
    publicUrl: env.publicUrl,
  };
  return { runtimes, agents, jobs, viewers, modelDescription, endCalls };
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
  commonTools: CommonToolNames,
): Promise<ScenarioFolder> {
  try {
    const files = await ScenarioFolder.open({ ...agents, commonTools }, env.scenariosDir);
    await files.loadAll();
    return files;
  } catch (cause) {
    if (!(cause instanceof ScenarioFileError)) throw cause;
    throw new StartError(`The scenarios of SCENARIOS_DIR (${env.scenariosDir}) cannot be loaded.`, { cause });
  }
}
