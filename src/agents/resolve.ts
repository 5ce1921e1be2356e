import DataLoader from 'dataloader';
import { ConflictError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { ModelEndpoint } from '../engine/ports.ts';
import type { Agent, Secret } from '../generated/prisma/client.ts';
import type { SpeechEndpoint, TranscriptionEndpoint } from '../providers/llm/endpoints.ts';
import { SecretUnreadableError } from '../secrets/key-ring.ts';
import { openSecret } from '../secrets/stored-secrets.ts';
import type { AgentDependencies } from './dependencies.ts';
import { resolveLlm } from './providers/endpoints.ts';
import { type ProviderKind, providerKinds } from './providers/input.ts';
import { type ProviderKey, restrictEndpoint } from './providers/operator-key.ts';
import { resolveStt, resolveTts } from './providers/speech-endpoints.ts';
import { readDefaultAgentId } from './read.ts';

/** An agent with its providers and their decrypted keys, as turns and speech use it. It never leaves the server. */
export interface ResolvedAgent {
  readonly agent: Agent;
  /** Null: it cannot be used; `requireLlm` throws the error for it. */
  readonly llm: ModelEndpoint | null;
  /** The models that turns may use instead, because it uses the operator's key. Null: any. */
  readonly allowedModels: ReadonlySet<string> | null;
  /** Null: the agent does not speak, or it cannot be used; `requireTts` throws the error for it. */
  readonly tts: SpeechEndpoint | null;
  /** Null: the agent does not listen, or it cannot be used; `requireStt` throws the error for it. */
  readonly stt: TranscriptionEndpoint | null;
  /** The models of providers that are null because these may not be used with the operator's key. */
  readonly refusedModels: Readonly<Record<ProviderKind, string | null>>;
}

/**
 * Resolves agents of the viewer's tenant by row id, from the cache; one statement for all that are not cached. Whether
 * the viewer may use them is for the caller to check.
 * @returns by row id; agents that do not exist or were deleted are absent
 */
export async function resolveAgents(
  viewer: Viewer,
  deps: AgentDependencies,
  ids: readonly string[],
): Promise<Map<string, ResolvedAgent>> {
  const { tenantId } = viewer;
  const wanted = [...new Set(ids)];
  // Its own cache would only repeat the configuration cache.
  const loader = new DataLoader<string, ResolvedAgent | null>((missing) => loadAgents(deps, tenantId, missing), {
    cache: false,
  });
  const agents = await Promise.all(wanted.map((id) => deps.config.get(tenantId, `agent:${id}`, () => loader.load(id))));
  return new Map(wanted.flatMap((id, index) => (agents[index] ? [[id, agents[index]] as const] : [])));
}

/** @returns in the order of the ids */
async function loadAgents(
  deps: AgentDependencies,
  tenantId: string,
  ids: readonly string[],
): Promise<(ResolvedAgent | null)[]> {
  const rows = await deps.db.agent.findMany({
    where: { tenantId, id: { in: [...ids] }, deletedAt: null },
    include: { secrets: true },
  });
  const resolved = await Promise.all(rows.map((row) => resolve(deps, row)));
  const byId = new Map(resolved.map((agent) => [agent.agent.id, agent]));
  return ids.map((id) => byId.get(id) ?? null);
}

async function resolve(
  deps: AgentDependencies,
  row: Agent & { readonly secrets: readonly Secret[] },
): Promise<ResolvedAgent> {
  const { secrets, ...agent } = row;
  const keyFor = async (name: string): Promise<ProviderKey | null> => {
    const secret = secrets.find((candidate) => candidate.name === name);
    return secret ? { origin: secret.origin, value: await decryptKey(deps, secret) } : null;
  };
  const [llm, tts, stt] = await Promise.all(providerKinds.map(keyFor));
  const { defaults, allowedModels } = deps;
  // Rows can be written by hand. An invalid one must fail its own agent only, and not all that are loaded with it.
  const attempt = <Endpoint>(kind: ProviderKind, read: () => Endpoint): Endpoint | null => {
    try {
      return read();
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      deps.logger.error({ agent: formatId('Agent', agent.id), kind, problem }, 'a stored provider is invalid');
      return null;
    }
  };
  const restrict = <Endpoint extends ModelEndpoint | SpeechEndpoint | TranscriptionEndpoint>(
    kind: ProviderKind,
    key: ProviderKey | null | undefined = null,
    fallback: Endpoint | null = null,
    read: (key: ProviderKey | null, fallback: Endpoint | null) => Endpoint | null,
  ) => {
    const endpoint = attempt(kind, () => read(key, fallback));
    return restrictEndpoint(kind, endpoint, { key, fallback, allowed: allowedModels[kind] });
  };
  const {
    endpoint: model,
    refusedModel,
    allowed,
  } = restrict('llm', llm, defaults.llm.endpoint, (key) => resolveLlm(agent.llm, key, defaults.llm.endpoint));
  const speech = restrict('tts', tts, defaults.tts?.endpoint, (key, fallback) => resolveTts(agent.tts, key, fallback));
  const hearing = restrict('stt', stt, defaults.stt?.endpoint, (key, fallback) => resolveStt(agent.stt, key, fallback));
  return {
    agent,
    llm: model,
    allowedModels: allowed,
    tts: speech.endpoint,
    stt: hearing.endpoint,
    refusedModels: { llm: refusedModel, tts: speech.refusedModel, stt: hearing.refusedModel },
  };
}

/**
 * The model endpoint of an agent.
 * @throws {ConflictError} naming the agent, if its stored configuration is invalid, or its model may not be used with the
 *   operator's key
 */
export function requireLlm({ agent, llm, refusedModels }: ResolvedAgent): ModelEndpoint {
  if (llm !== null) return llm;
  assertNotRefused(agent, refusedModels.llm);
  throw new ConflictError(
    `The stored LLM configuration of the agent ${JSON.stringify(agent.name)} is invalid: set a new one.`,
  );
}

/**
 * The text-to-speech endpoint of an agent.
 * @throws {ConflictError} naming the agent, if it has none, or its model may not be used with the operator's key
 */
export function requireTts({ agent, tts, refusedModels }: ResolvedAgent): SpeechEndpoint {
  if (tts !== null) return tts;
  assertNotRefused(agent, refusedModels.tts);
  throw new ConflictError(`The agent ${agent.name} cannot speak: set a text-to-speech provider (tts) for it.`);
}

/**
 * The speech-to-text endpoint of an agent.
 * @throws {ConflictError} naming the agent, if it has none, or its model may not be used with the operator's key
 */
export function requireStt({ agent, stt, refusedModels }: ResolvedAgent): TranscriptionEndpoint {
  if (stt !== null) return stt;
  assertNotRefused(agent, refusedModels.stt);
  throw new ConflictError(`The agent ${agent.name} cannot listen: set a speech-to-text provider (stt) for it.`);
}

function assertNotRefused({ name }: Agent, refusedModel: string | null): void {
  if (refusedModel === null) return;
  throw new ConflictError(
    `The agent ${JSON.stringify(name)} cannot use the model ${JSON.stringify(refusedModel)} with the key of this server: set another model, or a key for it. (Operators allow models with MODELS_ALLOWED.)`,
  );
}

/**
 * Decrypts a key. For a key that cannot be decrypted, an empty key is sent to the provider, which refuses it, and never
 * another key in its place.
 */
async function decryptKey(deps: AgentDependencies, secret: Secret): Promise<string> {
  try {
    return await openSecret(deps.keys, secret);
  } catch (error) {
    if (!(error instanceof SecretUnreadableError)) throw error;
    deps.logger.error({ err: error }, 'a key is missing in ENCRYPTION_KEYS, or a stored key was tampered with');
    return '';
  }
}

/**
 * Which agent is the default agent, from the cache: the viewer's own default, else the tenant's, else the development
 * agent.
 * @returns its row id; null: none of them exists and is active
 */
export function findDefaultAgent(viewer: Viewer, deps: AgentDependencies): Promise<string | null> {
  return deps.config.get(viewer.tenantId, `default:${viewer.userId}`, () => readDefaultAgentId(viewer, deps.db));
}
