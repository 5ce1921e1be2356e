import { existsSync } from 'node:fs';
import { type AttachmentsEnv, readAttachments } from './attachments.ts';
import { type ConnectionBounds, readConnectionBounds } from './connections.ts';
import { type ContextEnv, readContext } from './context.ts';
import { findContradictions } from './contradictions.ts';
import { type KnowledgeEnv, readKnowledge } from './knowledge.ts';
import type { Limits } from './limits.ts';
import { type MetricsEnv, readMetrics } from './metrics.ts';
import { type RetentionEnv, readRetention } from './retention.ts';
import { readSpeech, readTranscription, type SpeechEnv, type TranscriptionEnv } from './speech.ts';
import { readTokenBudgets, type TokenBudgets } from './token-budgets.ts';
import { readTracing, type TracingEnv } from './tracing.ts';
import { type LogLevel, openaiUrl, type Variables, variables } from './variables.ts';

/** How access tokens are checked. */
type TokenRules =
  | { readonly kind: 'development' }
  | ({ readonly kind: 'secret'; readonly secret: string } & TokenClaims)
  | ({ readonly kind: 'jwks'; readonly url: string } & TokenClaims);

interface TokenClaims {
  readonly issuer: string;
  readonly audience: string;
  readonly tenantClaim: string;
  readonly rolesClaim: string;
}

/** What the process was told by its environment, checked. Null: not given. */
export interface Env {
  readonly production: boolean;
  readonly port: number;
  readonly host: string;
  /** The embedded database and the development key live here. */
  readonly dataDir: string;
  readonly databaseUrl: string | null;
  /** The database itself, if `databaseUrl` leads to a pooler in front of it. */
  readonly databaseDirectUrl: string | null;
  /** The most connections to the database at once. */
  readonly databasePoolSize: number;
  readonly redisUrl: string | null;
  /** What the keys in Redis begin with. */
  readonly redisPrefix: string;
  readonly tokens: TokenRules;
  /** The key ring for secrets at rest, as it was written. */
  readonly encryptionKeys: string | null;
  /** Browser origins other than the server's own, e.g. https://app.example.com */
  readonly allowedOrigins: readonly string[];
  /** Hosts that agents' own model providers may be on although they are private. */
  readonly modelAllowedHosts: readonly string[];
  /** The model provider of agents that have none of their own. Null: the demo model. */
  /** The model that embeds knowledge bases without a provider of their own; null: none, or the demo's. */
  readonly embedding: { readonly model: string | null; readonly dimensions: number | null };
  readonly openai: { readonly apiKey: string | null; readonly baseUrl: string } | null;
  /** The model of agents that name none. */
  readonly model: string;
  /** The models that may be used with the operator's key, besides the configured ones; `*`: any. */
  readonly modelsAllowed: readonly string[];
  readonly modelApi: 'RESPONSES' | 'CHAT_COMPLETIONS';
  readonly logLevel: LogLevel;
  /** Null: no limit. */
  readonly rateLimits: {
    readonly turns: Limits | null;
    /** Of all mutations that start no turn. */
    readonly mutations: Limits | null;
    readonly agentOperations: Limits | null;
    readonly agentTests: Limits | null;
    readonly speech: Limits | null;
    readonly realtime: Limits | null;
    readonly tools: Limits | null;
    readonly sockets: Limits | null;
    readonly knowledge: Limits | null;
    readonly uploads: Limits | null;
    /** Bytes of large answers, in each process. */
    readonly answerBytes: Limits | null;
  };
  /** How many tokens users and tenants may use in a day. */
  readonly tokenBudgets: TokenBudgets;
  /** Whether the reasoning of models is stored with the messages of a tenant. */
  readonly storesReasoning: (tenantId: string) => boolean;
  /** The model of the default provider that makes the titles of conversations; null: none does. */
  readonly titleModel: string | null;
  /** Whether agents remember facts of the users of a tenant. */
  readonly remembers: (tenantId: string) => boolean;
  readonly retention: RetentionEnv;
  readonly tts: SpeechEnv | null;
  readonly stt: TranscriptionEnv | null;
  /** What realtime sessions are minted with. */
  readonly realtime: {
    readonly model: string;
    /** Null: the provider's own. */
    readonly voice: string | null;
    /** The model that writes down what the user says. */
    readonly transcriptionModel: string;
  };
  /** How long the result of synthesizeSpeech can be fetched. */
  readonly speechTtlSeconds: number;
  /** The country of telephone numbers that are written without one. Null: such numbers are refused. */
  readonly contactCountry: NonNullable<Variables['CONTACT_COUNTRY']> | null;
  /** How long an export can be fetched. */
  readonly exportTtlSeconds: number;
  /** The largest file of conversations that can be imported, in bytes. */
  readonly importMaxBytes: number;
  /** What uploaded attachments may take. */
  readonly attachments: AttachmentsEnv;
  /** The address of the front end, with which the links of shared conversations begin; without a slash at its end. */
  readonly publicUrl: string;
  /** How context snapshots are made, and how long they can be used. */
  readonly context: ContextEnv;
  /** How long the receiver of a webhook may take to answer, and how many webhooks this process sends to at the same time. */
  readonly webhooks: { readonly timeoutSeconds: number; readonly atOnce: number };
  /** How long a run waits for an approval before it is cancelled. */
  readonly approvalTtlSeconds: number;
  /** How long running turns may take to end when the server stops; then their leases are given back. */
  readonly drainSeconds: number;
  /** How long an idle HTTP connection stays open. */
  readonly keepAliveSeconds: number;
  /** How long the writes of running turns are tried again while the database is away. */
  readonly outageSeconds: number;
  /** HTTP tools and MCP servers that the operator gives to every tenant. */
  readonly toolsFile: string | null;
  /** A folder of scenario files that are loaded at start. */
  readonly scenariosDir: string | null;
  /** The agents, scenarios and orders that a new tenant begins with. */
  readonly seedFile: string;
  /** The most model steps of one turn. */
  readonly maxSteps: number;
  /** Turns that run at the same time, of one user and of one tenant; null: no limit. */
  readonly turnsAtOnce: { readonly user: number | null; readonly tenant: number | null };
  /** Events of one run, and bytes of text in them. */
  readonly maxRunEvents: number;
  readonly maxRunBytes: number;
  /** Bytes of memory that the events of all runs that are carried out may take together. */
  readonly maxLiveRunBytes: number;
  /** The longest that one turn may take. */
  readonly runTimeoutSeconds: number;
  /** The longest that a test of an agent may take. */
  readonly agentTestTimeoutSeconds: number;
  /** How long a classifier may take to choose the agent that answers. */
  readonly orchestrationTimeoutSeconds: number;
  readonly knowledge: KnowledgeEnv;
  /** How long a model provider may take to begin its answer. */
  readonly firstByteTimeoutSeconds: number;
  readonly connections: ConnectionBounds;
  /** How many proxies stand in front of this server; they append the address of the client to X-Forwarded-For. */
  readonly trustedProxies: number;
  /** A manifest of documents that clients name by an id, or a folder of them; `only`: nothing else is executed. */
  readonly trustedDocuments: { readonly path: string; readonly only: boolean } | null;
  /** Whether the chat page is served at `/`, if it is built. */
  readonly web: boolean;
  /** Whether GraphiQL is served at /graphql. */
  readonly graphiql: boolean;
  /** How the metrics are read; null: nobody can read them. */
  readonly metrics: MetricsEnv | null;
  /** How traces are exported; null: they are not. */
  readonly tracing: TracingEnv | null;
}

/** Every problem of the environment at once; each line names its variable. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError';

  constructor(problems: readonly string[]) {
    super(`The environment is not right:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

/**
 * Reads the environment.
 * @param source like process.env; an empty variable counts as absent
 * @throws {EnvironmentError} that names every variable that is wrong or, in production, missing
 */
export function readEnv(source: Readonly<Record<string, string | undefined>>): Env {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value?.trim()));
  const parsed = variables.safeParse(given);
  const problems = parsed.error?.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`) ?? [];
  problems.push(...findContradictions(given));
  if (!parsed.success || problems.length > 0) throw new EnvironmentError(problems);

  const read = parsed.data;
  const production = read.NODE_ENV === 'production';
  const openai =
    read.OPENAI_API_KEY === undefined && read.OPENAI_BASE_URL === undefined
      ? null
      : { apiKey: read.OPENAI_API_KEY ?? null, baseUrl: read.OPENAI_BASE_URL ?? openaiUrl };
  const modelApi = read.MODEL_API ?? (openai?.baseUrl === openaiUrl ? 'responses' : 'chat_completions');
  return {
    production,
    port: read.PORT,
    host: read.HOST ?? (production ? '0.0.0.0' : '127.0.0.1'),
    dataDir: read.DATA_DIR,
    databaseUrl: read.DATABASE_URL ?? null,
    databaseDirectUrl: read.DATABASE_DIRECT_URL ?? null,
    databasePoolSize: read.DATABASE_POOL_SIZE,
    redisUrl: read.REDIS_URL ?? null,
    redisPrefix: read.REDIS_PREFIX,
    tokens: readTokenRules(read),
    encryptionKeys: read.ENCRYPTION_KEYS ?? null,
    allowedOrigins: read.ALLOWED_ORIGINS,
    modelAllowedHosts: read.MODEL_ALLOWED_HOSTS,
    embedding: { model: read.EMBEDDING_MODEL ?? null, dimensions: read.EMBEDDING_DIMENSIONS || null },
    openai,
    model: read.MODEL ?? (openai ? defaultModel : 'demo'),
    modelsAllowed: read.MODELS_ALLOWED,
    modelApi: modelApi === 'responses' ? 'RESPONSES' : 'CHAT_COMPLETIONS',
    // On the terminal of a developer, a line for each operation would hide the rest.
    logLevel: read.LOG_LEVEL ?? (production ? 'info' : 'warn'),
    rateLimits: {
      turns: read.RATE_LIMIT_TURNS ?? null,
      mutations: read.RATE_LIMIT_MUTATIONS ?? null,
      agentOperations: read.RATE_LIMIT_AGENT_OPERATIONS ?? null,
      agentTests: read.RATE_LIMIT_AGENT_TESTS ?? null,
      speech: read.RATE_LIMIT_SPEECH ?? null,
      realtime: read.RATE_LIMIT_REALTIME ?? null,
      knowledge: read.RATE_LIMIT_KNOWLEDGE ?? null,
      uploads: read.RATE_LIMIT_UPLOADS ?? null,
      tools: read.RATE_LIMIT_TOOLS ?? null,
      sockets: read.RATE_LIMIT_SOCKETS ?? null,
      answerBytes: read.RATE_LIMIT_ANSWER_BYTES ?? null,
    },
    storesReasoning: read.STORE_REASONING,
    titleModel: read.TITLE_MODEL ?? null,
    remembers: read.MEMORY,
    tokenBudgets: readTokenBudgets(read.TOKEN_BUDGET_PER_USER_DAILY, read.TOKEN_BUDGET_PER_TENANT_DAILY),
    retention: readRetention(read),
    tts: readSpeech(read),
    stt: readTranscription(read),
    realtime: {
      model: read.REALTIME_MODEL ?? 'gpt-realtime',
      voice: read.REALTIME_VOICE ?? null,
      transcriptionModel: read.REALTIME_TRANSCRIPTION_MODEL ?? 'gpt-4o-mini-transcribe',
    },
    speechTtlSeconds: read.SPEECH_TTL_SECONDS,
    contactCountry: read.CONTACT_COUNTRY ?? null,
    publicUrl: (read.PUBLIC_URL ?? `http://localhost:${read.PORT}`).replace(/\/+$/, ''),
    exportTtlSeconds: read.EXPORT_TTL_SECONDS,
    importMaxBytes: read.IMPORT_MAX_MB * 1_000_000,
    attachments: readAttachments(read),
    context: readContext(read),
    webhooks: { timeoutSeconds: read.WEBHOOK_TIMEOUT_SECONDS, atOnce: read.WEBHOOKS_AT_ONCE },
    approvalTtlSeconds: read.APPROVAL_TTL_SECONDS,
    outageSeconds: read.OUTAGE_SECONDS,
    drainSeconds: read.DRAIN_SECONDS,
    keepAliveSeconds: read.KEEP_ALIVE_SECONDS,
    toolsFile: read.TOOLS_FILE ?? null,
    scenariosDir: read.SCENARIOS_DIR ?? null,
    seedFile: read.SEED_FILE,
    maxSteps: read.MAX_STEPS,
    turnsAtOnce: { user: read.MAX_TURNS_PER_USER || null, tenant: read.MAX_TURNS_PER_TENANT || null },
    maxRunEvents: read.MAX_RUN_EVENTS,
    maxRunBytes: read.MAX_RUN_BYTES,
    maxLiveRunBytes: read.LIVE_RUN_BYTES_PER_PROCESS,
    runTimeoutSeconds: read.RUN_TIMEOUT_SECONDS,
    agentTestTimeoutSeconds: read.AGENT_TEST_TIMEOUT_SECONDS,
    knowledge: readKnowledge(read),
    orchestrationTimeoutSeconds: read.ORCHESTRATION_TIMEOUT_SECONDS,
    firstByteTimeoutSeconds: read.FIRST_BYTE_TIMEOUT_SECONDS,
    connections: readConnectionBounds(read),
    trustedProxies: read.TRUST_PROXY,
    trustedDocuments:
      read.TRUSTED_DOCUMENTS === undefined
        ? null
        : { path: read.TRUSTED_DOCUMENTS, only: read.TRUSTED_DOCUMENTS_ONLY === 'true' },
    web: read.WEB === undefined ? !production : read.WEB === 'true',
    graphiql: read.GRAPHIQL === undefined ? !production : read.GRAPHIQL === 'true',
    metrics: readMetrics(read),
    tracing: readTracing(read),
  };
}

/** The model if OPENAI_API_KEY alone is set. */
const defaultModel = 'gpt-5-mini';

/** Reads the environment of this process, and of a `.env` file in the working folder if there is one. */
export function loadEnv(): Env {
  if (existsSync('.env')) process.loadEnvFile('.env');
  return readEnv(process.env);
}

function readTokenRules(read: Variables): TokenRules {
  const { JWT_SECRET: secret, JWT_JWKS_URL: url, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = read;
  if (issuer === undefined || audience === undefined) return { kind: 'development' };
  const claims = { issuer, audience, tenantClaim: read.JWT_TENANT_CLAIM, rolesClaim: read.JWT_ROLES_CLAIM };
  if (secret !== undefined) return { kind: 'secret', secret, ...claims };
  if (url !== undefined) return { kind: 'jwks', url, ...claims };
  return { kind: 'development' };
}
