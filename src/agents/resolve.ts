import DataLoader from 'dataloader';
import { ConflictError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { ModelEndpoint } from '../engine/ports.ts';
import type { Agent, Secret } from '../generated/prisma/client.ts';
import type { SpeechEndpoint, TranscriptionEndpoint } from '../providers/llm/endpoints.ts';
import { restrictOptions } from '../providers/llm/operator-limits.ts';
import { SecretUnreadableError } from '../secrets/key-ring.ts';
import { openSecret } from '../secrets/stored-secrets.ts';
import type { AgentDependencies } from './dependencies.ts';
import { type ProviderKey, resolveLlm, usesOperatorKey } from './providers/endpoints.ts';
import { type ProviderKind, providerKinds } from './providers/input.ts';
import { resolveStt, resolveTts } from './providers/speech-endpoints.ts';
import { readDefaultAgentId } from './read.ts';

/** An agent with its providers and their decrypted keys, as turns and speech use it. It never leaves the server. */
export interface ResolvedAgent {
  readonly agent: Agent;
  /** Null: it cannot be used; `requireLlm` throws the error for it. */
  readonly llm: ModelEndpoint | null;
  /** Why `llm` is null, if its model may not be used with the operator's key; else null. */
  readonly refusedModel: string | null;
  /** The models that turns may use instead, because it uses the operator's key. Null: any. */
  readonly allowedModels: ReadonlySet<string> | null;
  /** Null: the agent does not speak, or the stored configuration is invalid. */
  readonly tts: SpeechEndpoint | null;
  /** Null: the agent does not listen, or the stored configuration is invalid. */
  readonly stt: TranscriptionEndpoint | null;
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
  const { defaults } = deps;
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
  return {
    agent,
    ...restrictLlm(
      deps,
      llm ?? null,
      attempt('llm', () => resolveLlm(agent.llm, llm ?? null, defaults.llm.endpoint)),
    ),
    tts: attempt('tts', () => resolveTts(agent.tts, tts ?? null, defaults.tts?.endpoint ?? null)),
    stt: attempt('stt', () => resolveStt(agent.stt, stt ?? null, defaults.stt?.endpoint ?? null)),
  };
}

/** Applies what the operator's key may be used for to an endpoint that uses it. */
function restrictLlm(
  { defaults, allowedModels }: AgentDependencies,
  key: ProviderKey | null,
  llm: ModelEndpoint | null,
): Pick<ResolvedAgent, 'llm' | 'refusedModel' | 'allowedModels'> {
  if (llm === null || !usesOperatorKey(llm, key, defaults.llm.endpoint)) {
    return { llm, refusedModel: null, allowedModels: null };
  }
  if (allowedModels !== null && !allowedModels.has(llm.model)) {
    return { llm: null, refusedModel: llm.model, allowedModels };
  }
  const restricted = llm.options === undefined ? llm : { ...llm, options: restrictOptions(llm.options) };
  return { llm: restricted, refusedModel: null, allowedModels };
}

/**
 * The model endpoint of an agent.
 * @throws {ConflictError} naming the agent, if its stored configuration is invalid, or its model may not be used with the
 *   operator's key
 */
export function requireLlm({ agent, llm, refusedModel }: ResolvedAgent): ModelEndpoint {
  if (llm !== null) return llm;
  const name = JSON.stringify(agent.name);
  if (refusedModel !== null) {
    throw new ConflictError(
      `The agent ${name} cannot use the model ${JSON.stringify(refusedModel)} with the key of this server: set another model, or a key for it. (Operators allow models with MODELS_ALLOWED.)`,
    );
  }
  throw new ConflictError(`The stored LLM configuration of the agent ${name} is invalid: set a new one.`);
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
