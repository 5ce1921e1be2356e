import { join } from 'node:path';
import { isSupportedCountry } from 'libphonenumber-js/max';
import { z } from 'zod';
import { chosenTenants } from './chosen-tenants.ts';
import { keyRing } from './key-ring.ts';
import { rate } from './limits.ts';
import { otlpProtocols, pairs, samplers } from './otlp.ts';
import { parseStorageUrl } from './storage.ts';
import { tenantBudgets } from './token-budgets.ts';

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Where OpenAI is. */
export const openaiUrl = 'https://api.openai.com/v1';
const text = z.string().optional();
const name = z.string().max(200, 'must be at most 200 characters').optional();
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

/** The address of a provider. The graph shows it to those who use its agents, so no secret may stand in it. */
function providerUrl(...protocols: readonly string[]) {
  return urlOf(...protocols).superRefine((value, context) => {
    const refuse = (message: string) => context.addIssue({ code: 'custom', message });
    const url = value === undefined ? null : URL.parse(value);
    if (url === null) return;
    if (url.username !== '' || url.password !== '') refuse('must not have a user name or password in it: use its _KEY');
    if (url.hash !== '') refuse('must not have a fragment');
    const others = [...url.searchParams.keys()].filter((name) => name !== 'api-version');
    if (others.length > 0) refuse('must not have a query, but for api-version');
  });
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

/** A path as it stands in a URL, without anything that could lead out of it. `/8` is how a network is written. */
const hostPath = /^(\/(?!\.{1,2}(\/|$))[\w.~!$&'()*+=:-]+)*\/?$/;
const network = /^\/\d{1,3}$/;

/** Hosts, each for all its ports or with one, and with a path or without. */
const hosts = list.superRefine((values, context) => {
  for (const value of values) {
    const [, host = '', path = ''] = /^([^/]*)(\/.*)?$/s.exec(value) ?? [];
    const written = /^[0-9a-f:.]+$/i.test(host) && host.split(':').length > 2 ? `[${host}]` : host;
    const url = URL.parse(`http://${written}`);
    if (url === null || /[?#@*]/.test(host) || !hostPath.test(path) || network.test(path)) {
      context.addIssue({
        code: 'custom',
        message: `holds "${value}", which is no host like localhost:11434, 10.0.0.7/api or whisper.lan:9090/`,
      });
    }
  }
});

/** `kind=tool.argument`, once for each kind; the kind `*` is for all ids without a kind that is listed. */
const recordTools = list
  .superRefine((values, context) => {
    for (const value of values) {
      if (recordTool.test(value)) continue;
      const message = `holds "${value}", which is not kind=tool.argument, like order=lookup_order.orderNumber`;
      context.addIssue({ code: 'custom', message });
    }
    const kinds = values.map((value) => value.split('=')[0]);
    if (new Set(kinds).size < kinds.length) context.addIssue({ code: 'custom', message: 'has a kind twice' });
  })
  .transform((values) =>
    values.flatMap((value) => {
      const { kind, tool, argument } = recordTool.exec(value)?.groups ?? {};
      return kind && tool && argument ? [{ kind, tool, argument }] : [];
    }),
  );
const recordTool = /^(?<kind>\*|[A-Za-z][\w-]{0,63})=(?<tool>[\w-]{1,64})\.(?<argument>[\w-]{1,64})$/;

/** Two letters of a country that has telephone numbers. */
const country = z
  .string()
  .transform((code, context) => {
    if (isSupportedCountry(code)) return code;
    context.addIssue({ code: 'custom', message: 'must be a country as two capital letters, like DE' });
    return z.NEVER;
  })
  .optional();

/** The variables of the environment, each with its form and what it is where it is not given. */
export const variables = z.object({
  NODE_ENV: z.enum(['production', 'development', 'test'], 'must be production, development or test').optional(),
  PORT: wholeNumber(0, 65_535, 4000),
  HOST: text,
  DATA_DIR: z.string().default('.data'),
  DATABASE_URL: urlOf('postgres', 'postgresql'),
  DATABASE_DIRECT_URL: urlOf('postgres', 'postgresql'),
  DATABASE_POOL_SIZE: wholeNumber(1, 1000, 10),
  REDIS_URL: urlOf('redis', 'rediss'),
  REDIS_PREFIX: z.string().max(200, 'must be at most 200 characters').default('switchboard:'),
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
  MODEL_ALLOWED_HOSTS: hosts,
  OPENAI_API_KEY: text,
  OPENAI_BASE_URL: providerUrl('https', 'http'),
  MODEL: z.string().max(200, 'must be at most 200 characters').optional(),
  MODELS_ALLOWED: list,
  EMBEDDING_MODEL: name,
  EMBEDDING_DIMENSIONS: wholeNumber(0, 4_000, 0),
  MODEL_API: z.enum(['responses', 'chat_completions'], 'must be responses or chat_completions').optional(),
  LOG_LEVEL: z.enum(logLevels, `must be one of ${logLevels.join(', ')}`).optional(),
  RATE_LIMIT_TURNS: rate.prefault('60/60,600/60'),
  RATE_LIMIT_MUTATIONS: rate.prefault('600/60'),
  RATE_LIMIT_AGENT_OPERATIONS: rate,
  RATE_LIMIT_AGENT_TESTS: rate,
  RATE_LIMIT_SPEECH: rate,
  RATE_LIMIT_REALTIME: rate.prefault('120/60,1200/60'),
  RATE_LIMIT_KNOWLEDGE: rate.prefault('120/60,1200/60'),
  RATE_LIMIT_UPLOADS: rate.prefault('60/60,600/60'),
  RATE_LIMIT_TOOLS: rate,
  RATE_LIMIT_SOCKETS: rate,
  RATE_LIMIT_ANSWER_BYTES: rate.prefault('8000000/2,24000000/2'),
  TOKEN_BUDGET_PER_USER_DAILY: z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number from 0 to 999999999999999')
    .transform(Number)
    .default(0),
  TOKEN_BUDGET_PER_TENANT_DAILY: tenantBudgets,
  TTS_PROVIDER: name,
  TTS_API_URL: providerUrl('https', 'http'),
  TTS_API_KEY: text,
  TTS_MODEL: name,
  TTS_VOICE: name,
  TTS_SAMPLE_RATE: z
    .string()
    .regex(/^\d{4,6}$/, 'must be samples per second, like 24000')
    .transform(Number)
    .refine((value) => value >= 8_000 && value <= 192_000, 'must be from 8000 to 192000')
    .optional(),
  STT_PROVIDER: name,
  STT_API_URL: providerUrl('https', 'http', 'wss', 'ws'),
  STT_API_KEY: text,
  STT_MODEL: name,
  STT_PATH: name,
  STT_LANGUAGE: name,
  REALTIME_MODEL: name,
  REALTIME_VOICE: name,
  REALTIME_TRANSCRIPTION_MODEL: name,
  RETENTION_ARCHIVE_DAYS: wholeNumber(0, 36_500, 0),
  RETENTION_CONVERSATION_DAYS: wholeNumber(0, 36_500, 0),
  RETENTION_GUARDRAIL_DAYS: wholeNumber(0, 36_500, 0),
  RETENTION_LEDGER_DAYS: wholeNumber(0, 36_500, 0).refine(
    (days) => days !== 1,
    'must be 0 or at least 2: budgets count the current day',
  ),
  SPEECH_TTL_SECONDS: wholeNumber(10, 604_800, 3_600),
  CONTACT_COUNTRY: country,
  PUBLIC_URL: urlOf('https', 'http'),
  EXPORT_TTL_SECONDS: wholeNumber(10, 604_800, 3_600),
  IMPORT_MAX_MB: wholeNumber(1, 500, 100),
  STORAGE_URL: z
    .string()
    .refine(
      (value) => parseStorageUrl(value) !== null,
      'must be s3://<key id>:<secret>@<host>/<bucket>, with ?region=<region> if it is not us-east-1',
    )
    .optional(),
  ATTACHMENT_MAX_MB: wholeNumber(1, 25, 20),
  ATTACHMENT_USER_MB: wholeNumber(1, 1_000_000, 500),
  ATTACHMENT_TENANT_MB: wholeNumber(1, 100_000_000, 20_000),
  ATTACHMENT_TTL_SECONDS: wholeNumber(10, 604_800, 86_400),
  ATTACHMENT_URL_SECONDS: wholeNumber(10, 86_400, 3_600),
  ATTACHMENT_FETCH: z.enum(['true', 'false'], 'must be true or false').optional(),
  CONTEXT_TTL_SECONDS: wholeNumber(1, 604_800, 3_600),
  CONTEXT_RECORD_TOOLS: recordTools.prefault('order=lookup_order.orderNumber'),
  TITLE_MODEL: name,
  STORE_REASONING: chosenTenants,
  MEMORY: chosenTenants,
  CONTEXT_REFERENCES: z.enum(['true', 'false'], 'must be true or false').optional(),
  KNOWLEDGE_MAX_CHUNKS: wholeNumber(1, 100_000_000, 1_000_000),
  KNOWLEDGE_MAX_SOURCE_MB: wholeNumber(1, 100_000_000, 10_000),
  KNOWLEDGE_MAX_BASE_SOURCE_MB: wholeNumber(1, 100_000_000, 2_000),
  KNOWLEDGE_PARSE_MEMORY_MB: wholeNumber(256, 16_000, 512),
  KNOWLEDGE_PARSE_SECONDS: wholeNumber(1, 1_800, 120),
  WEBHOOK_TIMEOUT_SECONDS: wholeNumber(1, 30, 15),
  WEBHOOKS_AT_ONCE: wholeNumber(1, 1_000, 32),
  DRAIN_SECONDS: wholeNumber(0, 20, 10),
  KEEP_ALIVE_SECONDS: wholeNumber(5, 3600, 75),
  OUTAGE_SECONDS: wholeNumber(15, 3600, 120),
  APPROVAL_TTL_SECONDS: wholeNumber(1, 2_592_000, 86_400),
  TOOLS_FILE: text,
  SCENARIOS_DIR: text,
  SEED_FILE: z.string().default(join(import.meta.dirname, '../../prisma/seed.json')),
  MAX_STEPS: wholeNumber(1, 100, 16),
  MAX_TURNS_PER_USER: wholeNumber(0, 100_000, 20),
  MAX_TURNS_PER_TENANT: wholeNumber(0, 100_000, 200),
  MAX_RUN_EVENTS: wholeNumber(100, 1_000_000, 50_000),
  MAX_RUN_BYTES: wholeNumber(10_000, 1_000_000_000, 8_000_000),
  LIVE_RUN_BYTES_PER_PROCESS: wholeNumber(100_000, 9_000_000_000, 256_000_000),
  RUN_TIMEOUT_SECONDS: wholeNumber(1, 86_400, 600),
  FIRST_BYTE_TIMEOUT_SECONDS: wholeNumber(1, 3_600, 300),
  AGENT_TEST_TIMEOUT_SECONDS: wholeNumber(1, 600, 30),
  ORCHESTRATION_TIMEOUT_SECONDS: wholeNumber(1, 600, 10),
  SOCKETS_PER_USER: wholeNumber(1, 10_000, 20),
  SOCKETS_PER_TENANT: wholeNumber(1, 100_000, 1_000),
  SOCKETS_PER_PROCESS: wholeNumber(1, 1_000_000, 10_000),
  UNAUTHENTICATED_SOCKETS: wholeNumber(1, 100_000, 500),
  UNAUTHENTICATED_SOCKETS_PER_ADDRESS: wholeNumber(1, 100_000, 50),
  OPERATIONS_PER_USER: wholeNumber(1, 100_000, 300),
  OPERATIONS_PER_TENANT: wholeNumber(1, 1_000_000, 3_000),
  OPERATIONS_PER_PROCESS: wholeNumber(1, 1_000_000, 20_000),
  EVENT_STREAMS_PER_USER: wholeNumber(1, 100_000, 300),
  EVENT_STREAMS_PER_TENANT: wholeNumber(1, 1_000_000, 3_000),
  MAX_ANSWER_BYTES: wholeNumber(100_000, 1_000_000_000, 8_000_000),
  ANSWER_BYTES_PER_USER: wholeNumber(100_000, 9_000_000_000, 16_000_000),
  ANSWER_BYTES_PER_TENANT: wholeNumber(100_000, 9_000_000_000, 32_000_000),
  ANSWER_BYTES_PER_PROCESS: wholeNumber(100_000, 9_000_000_000, 64_000_000),
  TRUST_PROXY: wholeNumber(0, 10, 0),
  TRUSTED_DOCUMENTS: text,
  TRUSTED_DOCUMENTS_ONLY: z.enum(['true', 'false'], 'must be true or false').optional(),
  WEB: z.enum(['true', 'false'], 'must be true or false').optional(),
  GRAPHIQL: z.enum(['true', 'false'], 'must be true or false').optional(),
  METRICS_PORT: wholeNumber(0, 65_535, 0).unwrap().optional(),
  METRICS_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]{16,1024}$/, 'must be 16 to 1024 visible ASCII characters')
    .optional(),
  OTEL_SDK_DISABLED: z.enum(['true', 'false'], 'must be true or false').optional(),
  OTEL_TRACES_EXPORTER: z.enum(['otlp', 'none'], 'must be otlp or none').optional(),
  OTEL_EXPORTER_OTLP_ENDPOINT: urlOf('http', 'https'),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: urlOf('http', 'https'),
  OTEL_EXPORTER_OTLP_PROTOCOL: z.enum(otlpProtocols, `must be ${otlpProtocols.join(' or ')}`).default('http/protobuf'),
  OTEL_EXPORTER_OTLP_HEADERS: pairs,
  OTEL_EXPORTER_OTLP_TIMEOUT: wholeNumber(100, 60_000, 10_000),
  OTEL_SERVICE_NAME: name,
  OTEL_RESOURCE_ATTRIBUTES: pairs,
  OTEL_TRACES_SAMPLER: z.enum(samplers, `must be one of ${samplers.join(', ')}`).default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z
    .string()
    .regex(/^(0(\.\d+)?|1(\.0+)?)$/, 'must be a number from 0 to 1')
    .transform(Number)
    .default(1),
  OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: z.enum(['true', 'false'], 'must be true or false').optional(),
});
export type Variables = z.infer<typeof variables>;
