import type { Env } from '../config/env.ts';
import type { Database } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import type { KeyRing } from '../secrets/key-ring.ts';
import { putSecret } from '../secrets/stored-secrets.ts';
import { lockDefault } from './default.ts';
import { type ProviderDraft, type ProviderKind, providerKinds } from './providers/input.ts';
import { speechUrlMissing } from './providers/speech-defaults.ts';
import { resolveStt, resolveTts } from './providers/speech-endpoints.ts';
import { nameLlmProvider } from './providers/validate.ts';

/** The providers of the environment. Null: the environment has none of that kind. */
export type EnvironmentProviders = Readonly<Record<ProviderKind, ProviderDraft | null>>;

/** What writing development agents needs. */
interface DevelopmentAgentStore {
  readonly db: Database;
  readonly keys: KeyRing;
}

/**
 * The providers of OPENAI_*, MODEL, TTS_* and STT_*, in the form in which an agent stores its own. The demo model is not
 * among them: its address changes with each start.
 * @throws {EnvironmentError} if the variables do not say where speech or transcription is; a server would not start
 */
export function readEnvironmentProviders(env: Env): EnvironmentProviders {
  const llm = env.openai && readLlm(env.openai, env);
  const tts = env.tts && splitKey({ ...env.tts, options: null });
  const stt = env.stt && splitKey({ ...env.stt, options: null });
  return {
    llm,
    tts: tts && shareKey(llm, draft(tts.config, tts.apiKey, findUrl('TTS', env, resolveTts(tts.config, null, null)))),
    stt: stt && shareKey(llm, draft(stt.config, stt.apiKey, findUrl('STT', env, resolveStt(stt.config, null, null)))),
  };
}

/** Undefined: the demo model provides it, whose address is not stored. */
function findUrl(prefix: 'TTS' | 'STT', env: Env, located: { readonly apiUrl: string } | null): string | undefined {
  const provider = (prefix === 'TTS' ? env.tts : env.stt)?.provider ?? '';
  if (located === null && (provider !== 'demo' || env.openai !== null)) throw speechUrlMissing(prefix, provider);
  return located?.apiUrl;
}

/** Speech without a key of its own uses the model's key if it is at the same origin (as speech-defaults.ts does). */
function shareKey(llm: ProviderDraft | null, speech: ProviderDraft | null): ProviderDraft | null {
  const shared = speech !== null && speech.apiKey === null && speech.origin === llm?.origin;
  return shared ? { ...speech, apiKey: llm.apiKey } : speech;
}

function readLlm({ baseUrl, apiKey }: NonNullable<Env['openai']>, { model, modelApi: api }: Env): ProviderDraft | null {
  const provider = nameLlmProvider(baseUrl);
  const apiUrl = provider === 'custom' ? baseUrl : null;
  return draft({ provider, model, apiUrl, api, completionsPath: null, options: null }, apiKey, baseUrl);
}

function splitKey<Settings extends { readonly apiKey: string | null }>({ apiKey, ...config }: Settings) {
  return { config, apiKey };
}

function draft(config: ProviderDraft['config'], apiKey: string | null, apiUrl: string | undefined) {
  return apiUrl === undefined ? null : { config, origin: new URL(apiUrl).origin, apiKey, operatorKeyProblem: null };
}

/**
 * Creates the development agent of a tenant, once: if one was changed or deleted, nothing happens. If two instances do it
 * concurrently, one of them creates it.
 * @returns whether it was created
 */
export function addDevelopmentAgent(
  { db, keys }: DevelopmentAgentStore,
  tenantId: string,
  providers: EnvironmentProviders,
): Promise<boolean> {
  return db.$transaction(async (tx) => {
    await lockDefault(tx, tenantId, null);
    const before = await tx.agent.findFirst({ where: { tenantId, isDevelopment: true }, select: { id: true } });
    if (before === null) await createAgent(tx, keys, tenantId, providers);
    return before === null;
  });
}

/**
 * Sets the providers and keys of a tenant's development agent to those of the environment, or creates the agent if there
 * is none. Its name, instructions and tools stay.
 * @returns what was done
 */
export function syncDevelopmentAgent(
  { db, keys }: DevelopmentAgentStore,
  tenantId: string,
  providers: EnvironmentProviders,
): Promise<'made' | 'updated'> {
  return db.$transaction(async (tx) => {
    await lockDefault(tx, tenantId, null);
    // Every change of an agent and its keys locks the agent's row first.
    const [present] = await tx.$queryRaw<{ id: string }[]>`
      SELECT id FROM agents WHERE tenant_id = ${tenantId} AND is_development AND deleted_at IS NULL FOR NO KEY UPDATE`;
    if (present === undefined) {
      await createAgent(tx, keys, tenantId, providers);
      return 'made';
    }
    const { id } = present;
    await tx.secret.deleteMany({ where: { agentId: id, name: { in: [...providerKinds] } } });
    await tx.agent.update({ where: { id }, data: columnsOf(providers) });
    await putKeys(tx, keys, { tenantId, agentId: id }, providers);
    return 'updated';
  });
}

const defaultName = 'development';
const instructions =
  'You are a helpful assistant. Answer in the language of the user, and say so when you do not know something.';

async function createAgent(
  tx: Prisma.TransactionClient,
  keys: KeyRing,
  tenantId: string,
  providers: EnvironmentProviders,
): Promise<void> {
  const shared = await tx.agent.findMany({
    where: { tenantId, ownerId: null, projectId: null, deletedAt: null, name: { startsWith: defaultName } },
    select: { name: true },
  });
  const taken = new Set(shared.map(({ name }) => name));
  let name = defaultName;
  for (let n = 2; taken.has(name); n++) name = `${defaultName} ${n}`;
  const { id } = await tx.agent.create({
    data: {
      tenantId,
      name,
      description: 'Created from the environment: it answers if there is no default agent.',
      instructions,
      isDevelopment: true,
      ...columnsOf(providers),
    },
    select: { id: true },
  });
  await putKeys(tx, keys, { tenantId, agentId: id }, providers);
}

function columnsOf({ llm, tts, stt }: EnvironmentProviders) {
  const columnOf = (provider: ProviderDraft | null) => provider?.config ?? Prisma.DbNull;
  return { llm: columnOf(llm), tts: columnOf(tts), stt: columnOf(stt) };
}

async function putKeys(
  tx: Prisma.TransactionClient,
  keys: KeyRing,
  owner: { readonly tenantId: string; readonly agentId: string },
  providers: EnvironmentProviders,
): Promise<void> {
  for (const name of providerKinds) {
    const provider = providers[name];
    if (!provider?.apiKey) continue;
    await putSecret(tx, keys, owner, { name, origin: provider.origin, value: provider.apiKey });
  }
}
