import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** How access tokens are checked. */
export type TokenRules =
  | { readonly kind: 'development' }
  | ({ readonly kind: 'secret'; readonly secret: string } & TokenClaims)
  | ({ readonly kind: 'jwks'; readonly url: string } & TokenClaims);

interface TokenClaims {
  readonly issuer: string;
  readonly audience: string;
  readonly tenantClaim: string;
  readonly rolesClaim: string;
}

/** So many points in so many seconds. */
export interface Rate {
  readonly points: number;
  readonly seconds: number;
}

/** What the process was told by its environment, checked. Null: not given. */
export interface Env {
  readonly production: boolean;
  readonly port: number;
  readonly host: string;
  /** The embedded database and the development key live here. */
  readonly dataDir: string;
  readonly databaseUrl: string | null;
  /** The most connections to the database at once. */
  readonly databasePoolSize: number;
  readonly redisUrl: string | null;
  readonly tokens: TokenRules;
  /** The key ring for secrets at rest, as it was written. */
  readonly encryptionKeys: string | null;
  /** Browser origins other than the server's own, e.g. https://app.example.com */
  readonly allowedOrigins: readonly string[];
  /** Hosts that agents' own model providers may be on although they are private. */
  readonly modelAllowedHosts: readonly string[];
  /** The model provider of agents that have none of their own. Null: the demo model. */
  readonly openai: { readonly apiKey: string | null; readonly baseUrl: string } | null;
  /** The model of agents that name none. */
  readonly model: string;
  readonly modelApi: 'RESPONSES' | 'CHAT_COMPLETIONS';
  readonly logLevel: LogLevel;
  readonly rateLimits: {
    readonly turns: Rate | null;
    readonly agentOperations: Rate | null;
    readonly tools: Rate | null;
    readonly sockets: Rate | null;
  };
  /** The agents, scenarios and orders that a new tenant begins with. */
  readonly seedFile: string;
  /** The most model steps of one turn. */
  readonly maxSteps: number;
  /** The longest that one turn may take. */
  readonly runTimeoutSeconds: number;
  /** How many sockets one user may have open at once. */
  readonly socketsPerUser: number;
  /** Whether GraphiQL is served at /graphql. */
  readonly graphiql: boolean;
}

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Every problem of the environment at once; each line names its variable. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError';

  constructor(problems: readonly string[]) {
    super(`The environment is not right:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

const openaiUrl = 'https://api.openai.com/v1';
const text = z.string().optional();
const claimName = (fallback: string) => z.string().max(255, 'must be at most 255 characters').default(fallback);

function wholeNumber(least: number, most: number, fallback: number) {
  const message = `must be a whole number from ${least} to ${most}`;
  return z
    .string()
    .regex(/^\d{1,10}$/, message)
    .transform(Number)
    .refine((value) => value >= least && value <= most, message)
    .default(fallback);
}

function urlOf(...protocols: readonly string[]) {
  return z
    .string()
    .refine(
      (value) => URL.canParse(value) && protocols.includes(new URL(value).protocol.slice(0, -1)),
      `must be a URL that begins with ${protocols.map((protocol) => `${protocol}://`).join(' or ')}`,
    )
    .optional();
}

const list = z
  .string()
  .default('')
  .transform((value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  );

const origins = list.superRefine((values, context) => {
  for (const value of values) {
    if (!URL.canParse(value) || new URL(value).origin !== value) {
      context.addIssue({
        code: 'custom',
        message: `holds "${value}", which is no origin like https://app.example.com`,
      });
    }
  }
});

/** `points/seconds`; 0 for no limit. */
const rate = z
  .string()
  .regex(/^(0|[1-9]\d{0,8}\/[1-9]\d{0,5})$/, 'must be points/seconds, like 20/60, or 0 for no limit')
  .transform((value): Rate | null => {
    const [points, seconds] = value.split('/').map(Number);
    return points && seconds ? { points, seconds } : null;
  })
  .optional();

/** `kid:base64,…`, each key of 32 bytes for A256GCM; the first is the current one. */
const keyRing = z
  .string()
  .refine(
    (value) => value.split(',').every((entry) => /^[\w-]{1,64}:[A-Za-z0-9+/_-]{43}=?$/.test(entry.trim())),
    'must be kid:base64,… with keys of 32 bytes, e.g. k1:$(openssl rand -base64 32)',
  )
  .optional();

const variables = z.object({
  NODE_ENV: z.enum(['production', 'development', 'test'], 'must be production, development or test').optional(),
  PORT: wholeNumber(0, 65_535, 4000),
  HOST: text,
  DATA_DIR: z.string().default('.data'),
  DATABASE_URL: urlOf('postgres', 'postgresql'),
  DATABASE_POOL_SIZE: wholeNumber(1, 1000, 10),
  REDIS_URL: urlOf('redis', 'rediss'),
  JWT_SECRET: z
    .string()
    .refine((value) => Buffer.byteLength(value) >= 32, 'must be at least 32 bytes long')
    .optional(),
  JWT_JWKS_URL: urlOf('https', 'http'),
  JWT_ISSUER: text,
  JWT_AUDIENCE: text,
  JWT_TENANT_CLAIM: claimName('tenant'),
  JWT_ROLES_CLAIM: claimName('roles'),
  ENCRYPTION_KEYS: keyRing,
  ALLOWED_ORIGINS: origins,
  MODEL_ALLOWED_HOSTS: list,
  OPENAI_API_KEY: text,
  OPENAI_BASE_URL: urlOf('https', 'http'),
  MODEL: z.string().max(200, 'must be at most 200 characters').optional(),
  MODEL_API: z.enum(['responses', 'chat_completions'], 'must be responses or chat_completions').optional(),
  LOG_LEVEL: z.enum(logLevels, `must be one of ${logLevels.join(', ')}`).default('info'),
  RATE_LIMIT_TURNS: rate,
  RATE_LIMIT_AGENT_OPERATIONS: rate,
  RATE_LIMIT_TOOLS: rate,
  RATE_LIMIT_SOCKETS: rate,
  SEED_FILE: z.string().default(join(import.meta.dirname, '../prisma/seed.json')),
  MAX_STEPS: wholeNumber(1, 100, 16),
  RUN_TIMEOUT_SECONDS: wholeNumber(1, 86_400, 600),
  SOCKETS_PER_USER: wholeNumber(1, 10_000, 20),
  GRAPHIQL: z.enum(['true', 'false'], 'must be true or false').optional(),
});
type Variables = z.infer<typeof variables>;

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
    databasePoolSize: read.DATABASE_POOL_SIZE,
    redisUrl: read.REDIS_URL ?? null,
    tokens: readTokenRules(read),
    encryptionKeys: read.ENCRYPTION_KEYS ?? null,
    allowedOrigins: read.ALLOWED_ORIGINS,
    modelAllowedHosts: read.MODEL_ALLOWED_HOSTS,
    openai,
    model: read.MODEL ?? (openai ? 'gpt-5-mini' : 'demo'),
    modelApi: modelApi === 'responses' ? 'RESPONSES' : 'CHAT_COMPLETIONS',
    logLevel: read.LOG_LEVEL,
    rateLimits: {
      turns: read.RATE_LIMIT_TURNS ?? null,
      agentOperations: read.RATE_LIMIT_AGENT_OPERATIONS ?? null,
      tools: read.RATE_LIMIT_TOOLS ?? null,
      sockets: read.RATE_LIMIT_SOCKETS ?? null,
    },
    seedFile: read.SEED_FILE,
    maxSteps: read.MAX_STEPS,
    runTimeoutSeconds: read.RUN_TIMEOUT_SECONDS,
    socketsPerUser: read.SOCKETS_PER_USER,
    graphiql: read.GRAPHIQL === undefined ? !production : read.GRAPHIQL === 'true',
  };
}

/** Reads the environment of this process, and of a `.env` file in the working folder if there is one. */
export function loadEnv(): Env {
  if (existsSync('.env')) process.loadEnvFile('.env');
  return readEnv(process.env);
}

/** What is wrong between variables, and what is missing. */
function findContradictions(given: Readonly<Record<string, string | undefined>>): string[] {
  const problems: string[] = [];
  const missing = (name: string, why: string) => {
    if (given[name] === undefined) problems.push(`${name} is missing: ${why}`);
  };
  const production = given.NODE_ENV === 'production';
  const verified = given.JWT_SECRET !== undefined || given.JWT_JWKS_URL !== undefined;
  if (given.JWT_SECRET !== undefined && given.JWT_JWKS_URL !== undefined) {
    problems.push('JWT_SECRET and JWT_JWKS_URL are both given: choose one');
  }
  if (production) {
    missing('DATABASE_URL', 'production needs a PostgreSQL server');
    missing('ENCRYPTION_KEYS', 'production needs keys to encrypt provider keys with');
    missing('ALLOWED_ORIGINS', 'production needs the origins of its front ends');
    if (!verified) problems.push('JWT_SECRET or JWT_JWKS_URL is missing: production verifies access tokens');
  }
  if (production || verified) {
    missing('JWT_ISSUER', 'tokens are checked for their issuer');
    missing('JWT_AUDIENCE', 'tokens are checked for their audience');
  } else if (given.JWT_ISSUER !== undefined || given.JWT_AUDIENCE !== undefined) {
    problems.push('JWT_SECRET or JWT_JWKS_URL is missing: JWT_ISSUER and JWT_AUDIENCE mean nothing without one');
  }
  const baseUrl = given.OPENAI_BASE_URL;
  if (baseUrl !== undefined && baseUrl !== openaiUrl) missing('MODEL', 'the models of OPENAI_BASE_URL are not known');
  return problems;
}

function readTokenRules(read: Variables): TokenRules {
  const { JWT_SECRET: secret, JWT_JWKS_URL: url, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = read;
  if (issuer === undefined || audience === undefined) return { kind: 'development' };
  const claims = { issuer, audience, tenantClaim: read.JWT_TENANT_CLAIM, rolesClaim: read.JWT_ROLES_CLAIM };
  if (secret !== undefined) return { kind: 'secret', secret, ...claims };
  if (url !== undefined) return { kind: 'jwks', url, ...claims };
  return { kind: 'development' };
}
