import { describe, expect, test } from 'vitest';
import { EnvironmentError, readEnv } from '../../src/config/env.ts';

const production = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://db.test/switchboard',
  JWT_SECRET: 'a secret of at least thirty-two bytes',
  JWT_ISSUER: 'https://issuer.test',
  JWT_AUDIENCE: 'switchboard',
  ENCRYPTION_KEYS: `one:${Buffer.alloc(32).toString('base64')}`,
  ALLOWED_ORIGINS: 'https://app.test, https://other.test',
};

test('Without configuration every variable has a default, for development on this machine', () => {
  expect(readEnv({})).toMatchObject({
    production: false,
    port: 4000,
    host: '127.0.0.1',
    dataDir: '.data',
    databaseUrl: null,
    tokens: { kind: 'development' },
    openai: null,
    graphiql: true,
    rateLimits: {
      turns: { user: { points: 60, seconds: 60 }, tenant: { points: 600, seconds: 60 } },
      agentOperations: null,
      tools: null,
      sockets: null,
    },
  });
});

test('An empty variable counts as absent', () => expect(readEnv({ PORT: '', DATABASE_URL: ' ' }).port).toBe(4000));

test('Production starts with what it needs', () => {
  expect(readEnv(production)).toMatchObject({
    production: true,
    host: '0.0.0.0',
    graphiql: false,
    allowedOrigins: ['https://app.test', 'https://other.test'],
    tokens: { kind: 'secret', issuer: 'https://issuer.test', tenantClaim: 'tenant' },
  });
});

test('Production names all missing variables together', () => {
  const failure = problemsOf({ NODE_ENV: 'production' });
  for (const name of [
    'DATABASE_URL',
    'JWT_SECRET',
    'JWT_ISSUER',
    'JWT_AUDIENCE',
    'ENCRYPTION_KEYS',
    'ALLOWED_ORIGINS',
  ]) {
    expect(failure).toContain(name);
  }
});

test('Production never accepts development tokens', () => {
  const { JWT_SECRET: _secret, ...rest } = production;
  expect(problemsOf(rest)).toContain('JWT_SECRET or JWT_JWKS_URL is missing');
});

test('Production takes no keys over http://, which anyone on the way could replace', () => {
  const { JWT_SECRET: _secret, ...rest } = production;
  const problem = 'JWT_JWKS_URL must be an https:// URL';
  expect(problemsOf({ ...rest, JWT_JWKS_URL: 'http://keys.test/jwks' })).toContain(problem);
  expect(readEnv({ ...rest, JWT_JWKS_URL: 'https://keys.test/jwks' }).tokens).toMatchObject({ kind: 'jwks' });
});

test('In production the log has a line for each operation, for a developer only what went wrong, and LOG_LEVEL decides', () => {
  expect(readEnv(production).logLevel).toBe('info');
  expect(readEnv({}).logLevel).toBe('warn');
  expect(readEnv({ LOG_LEVEL: 'info' }).logLevel).toBe('info');
  expect(readEnv({ ...production, LOG_LEVEL: 'debug' }).logLevel).toBe('debug');
});

describe('wrong variables', () => {
  test('Two wrong variables are reported together', () => {
    const failure = problemsOf({ PORT: 'http', LOG_LEVEL: 'loud' });
    expect(failure).toContain('PORT must be a whole number from 0 to 65535');
    expect(failure).toContain('LOG_LEVEL must be one of');
  });

  test.each([
    { given: { PORT: '65536' }, says: 'PORT' },
    { given: { PORT: '-1' }, says: 'PORT' },
    { given: { DATABASE_URL: 'mysql://db.test/x' }, says: 'DATABASE_URL must be a URL that begins with postgres://' },
    { given: { ...production, JWT_SECRET: 'short' }, says: 'JWT_SECRET must be at least 32 bytes' },
    { given: { ...production, JWT_JWKS_URL: 'https://keys.test' }, says: 'JWT_SECRET and JWT_JWKS_URL are both given' },
    { given: { JWT_SECRET: production.JWT_SECRET }, says: 'JWT_ISSUER is missing' },
    { given: { JWT_AUDIENCE: 'x' }, says: 'JWT_ISSUER and JWT_AUDIENCE mean nothing' },
    { given: { ALLOWED_ORIGINS: 'https://app.test/path' }, says: 'ALLOWED_ORIGINS holds "https://app.test/path"' },
    { given: { ALLOWED_ORIGINS: '*' }, says: 'ALLOWED_ORIGINS' },
    { given: { MODEL_API: 'other' }, says: 'MODEL_API must be responses or chat_completions' },
    { given: { OPENAI_BASE_URL: 'http://localhost:11434/v1' }, says: 'MODEL is missing' },
    {
      given: { OPENAI_BASE_URL: 'http://svc:secret@host/v1', MODEL: 'm' },
      says: 'OPENAI_BASE_URL must not have a user',
    },
    {
      given: { ENCRYPTION_KEYS: `${production.ENCRYPTION_KEYS}, ${production.ENCRYPTION_KEYS}` },
      says: 'ENCRYPTION_KEYS has two keys with the same kid',
    },
    { given: { TTS_API_URL: 'https://host/v1?key=secret' }, says: 'TTS_API_URL must not have a query' },
    { given: { STT_API_URL: 'wss://host/v1#secret' }, says: 'STT_API_URL must not have a fragment' },
    { given: { RATE_LIMIT_TURNS: '10' }, says: 'RATE_LIMIT_TURNS must be points/seconds' },
    { given: { MODEL_ALLOWED_HOSTS: 'ok.test, http://x.test' }, says: 'MODEL_ALLOWED_HOSTS holds "http://x.test"' },
    { given: { MODEL_ALLOWED_HOSTS: '*.x.test' }, says: 'MODEL_ALLOWED_HOSTS holds "*.x.test"' },
    { given: { MODEL_ALLOWED_HOSTS: '10.0.0.0/8' }, says: 'MODEL_ALLOWED_HOSTS holds "10.0.0.0/8"' },
    { given: { MODEL_ALLOWED_HOSTS: 'x.test/v1/../api' }, says: 'MODEL_ALLOWED_HOSTS holds "x.test/v1/../api"' },
    { given: { MODEL_ALLOWED_HOSTS: 'x.test/v1%2fapi' }, says: 'MODEL_ALLOWED_HOSTS holds "x.test/v1%2fapi"' },
    { given: { MODEL_ALLOWED_HOSTS: 'x.test//v1' }, says: 'MODEL_ALLOWED_HOSTS holds "x.test//v1"' },
    { given: { MODEL_ALLOWED_HOSTS: '/v1' }, says: 'MODEL_ALLOWED_HOSTS holds "/v1"' },
    { given: { MODEL_ALLOWED_HOSTS: 'x.test:99999' }, says: 'MODEL_ALLOWED_HOSTS holds "x.test:99999"' },
  ])('A wrong variable is named, without its value if that is secret: $says', ({ given, says }) => {
    const failure = problemsOf(given);
    expect(failure).toContain(says);
    expect(failure).not.toContain('short');
  });
});

test.each([
  { given: {}, api: 'CHAT_COMPLETIONS' },
  { given: { OPENAI_API_KEY: 'k' }, api: 'RESPONSES' },
  { given: { OPENAI_BASE_URL: 'http://localhost:11434/v1', MODEL: 'm' }, api: 'CHAT_COMPLETIONS' },
  { given: { OPENAI_BASE_URL: 'http://localhost:11434/v1', MODEL: 'm', MODEL_API: 'responses' }, api: 'RESPONSES' },
])('The environment $given speaks $api', ({ given, api }) => expect(readEnv(given).modelApi).toBe(api));

test('Allowed hosts are names and addresses, with a port and a path or without', () => {
  const hosts = ['localhost:11434', 'gpu.lan/', '10.0.0.7', '[::1]:8000/v1beta/openai', '[fd00::7]', 'fd00::8/v2/'];
  expect(readEnv({ MODEL_ALLOWED_HOSTS: hosts.join(', ') }).modelAllowedHosts).toEqual(hosts);
});

test('Rate limits are points in seconds, and 0 is none', () => {
  const { rateLimits } = readEnv({ RATE_LIMIT_TURNS: '20/60', RATE_LIMIT_SPEECH: '5/1,50/2', RATE_LIMIT_TOOLS: '0' });
  expect(rateLimits).toMatchObject({
    turns: { user: { points: 20, seconds: 60 }, tenant: null },
    speech: { user: { points: 5, seconds: 1 }, tenant: { points: 50, seconds: 2 } },
    tools: null,
  });
});

function problemsOf(source: Record<string, string>): string {
  try {
    readEnv(source);
  } catch (error) {
    if (error instanceof EnvironmentError) return error.message;
    throw error;
  }
  throw new Error('It was found to be right.');
}
