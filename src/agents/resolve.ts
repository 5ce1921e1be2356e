import { ConflictError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import { defaultAgentFirst } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { ModelEndpoint } from '../engine/ports.ts';
import type { Agent, Secret } from '../generated/prisma/client.ts';
import type { SpeechEndpoint, TranscriptionEndpoint } from '../providers/llm/endpoints.ts';
import { SecretUnreadableError } from '../secrets/key-ring.ts';
import { openSecret } from '../secrets/stored-secrets.ts';
import type { AgentDependencies } from './dependencies.ts';
import { type ProviderKey, resolveLlm } from './providers/endpoints.ts';
import { type ProviderKind, providerKinds } from './providers/input.ts';
import { resolveStt, resolveTts } from './providers/speech-endpoints.ts';

/** An agent with its providers, keys included: as turns and speech use it. It never leaves the server. */
export interface ResolvedAgent {
  readonly agent: Agent;
  /** Null: its row does not hold a configuration; `requireLlm` says so. */
  readonly llm: ModelEndpoint | null;
  /** Null: it does not speak, or its row does not hold a configuration. */
  readonly tts: SpeechEndpoint | null;
  /** Null: it does not listen, or its row does not hold a configuration. */
  readonly stt: TranscriptionEndpoint | null;
}

/**
 * Agents of the viewer's tenant by row id, out of the cache; one statement for those that are not in it. Those that are
 * gone are missing from the answer; whether the viewer may use them is for the caller to know.
 */
export async function resolveAgents(
  viewer: Viewer,
  deps: AgentDependencies,
  ids: readonly string[],
): Promise<Map<string, ResolvedAgent>> {
  const { tenantId } = viewer;
  const wanted = [...new Set(ids)];
  // Everybody who asks in this tick is answered by one statement: the first of them starts it.
  let missing: string[] = [];
  let loading: Promise<Map<string, ResolvedAgent>> | null = null;
  const load = (id: string) => {
    missing.push(id);
    loading ??= Promise.resolve().then(() => {
      const now = missing;
      missing = [];
      return loadAgents(deps, tenantId, now);
    });
    return loading.then((found) => found.get(id) ?? null);
  };
  const agents = await Promise.all(wanted.map((id) => deps.config.get(tenantId, `agent:${id}`, () => load(id))));
  return new Map(wanted.flatMap((id, index) => (agents[index] ? [[id, agents[index]] as const] : [])));
}

async function loadAgents(
  deps: AgentDependencies,
  tenantId: string,
  ids: readonly string[],
): Promise<Map<string, ResolvedAgent>> {
  const rows = await deps.db.agent.findMany({
    where: { tenantId, id: { in: [...ids] }, deletedAt: null },
    include: { secrets: true },
  });
  const resolved = await Promise.all(rows.map((row) => resolve(deps, row)));
  return new Map(resolved.map((agent) => [agent.agent.id, agent]));
}

async function resolve(
  deps: AgentDependencies,
  row: Agent & { readonly secrets: readonly Secret[] },
): Promise<ResolvedAgent> {
  const { secrets, ...agent } = row;
  const keyFor = async (name: string): Promise<ProviderKey | null> => {
    const secret = secrets.find((candidate) => candidate.name === name);
    return secret ? { origin: secret.origin, value: await openKey(deps, secret) } : null;
  };
  const [llm, tts, stt] = await Promise.all(providerKinds.map(keyFor));
  const { defaults } = deps;
  // Rows can be written by hand: one that cannot be read is a matter of its agent alone.
  const attempt = <Endpoint>(kind: ProviderKind, read: () => Endpoint): Endpoint | null => {
    try {
      return read();
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      deps.logger.error({ agent: formatId('Agent', agent.id), kind, problem }, 'a stored provider cannot be used');
      return null;
    }
  };
  return {
    agent,
    llm: attempt('llm', () => resolveLlm(agent.llm, llm ?? null, defaults.llm.endpoint)),
    tts: attempt('tts', () => resolveTts(agent.tts, tts ?? null, defaults.tts?.endpoint ?? null)),
    stt: attempt('stt', () => resolveStt(agent.stt, stt ?? null, defaults.stt?.endpoint ?? null)),
  };
}

/**
 * Where the model of an agent is.
 * @throws {ConflictError} naming the agent, when its row does not hold a configuration
 */
export function requireLlm({ agent, llm }: ResolvedAgent): ModelEndpoint {
  if (llm !== null) return llm;
  const name = JSON.stringify(agent.name);
  throw new ConflictError(`What is stored as the llm of the agent ${name} is no configuration: give it a new one.`);
}

/** A key that cannot be read is sent to nobody, and no other in its place: the provider refuses, the others go on. */
async function openKey(deps: AgentDependencies, secret: Secret): Promise<string> {
  try {
    return await openSecret(deps.keys, secret);
  } catch (error) {
    if (!(error instanceof SecretUnreadableError)) throw error;
    deps.logger.error({ err: error }, 'a key is missing in ENCRYPTION_KEYS, or a stored one was tampered with');
    return '';
  }
}

/**
 * The row id of the agent that answers where nothing else was chosen: the viewer's own default, else the tenant's, else
 * the development agent. Null: none of them is there and active. Out of the cache.
 */
export function findDefaultAgent(viewer: Viewer, deps: AgentDependencies): Promise<string | null> {
  return deps.config.get(viewer.tenantId, `default:${viewer.userId}`, async () => {
    const agent = await deps.db.agent.findFirst({ ...defaultAgentFirst(viewer), select: { id: true } });
    return agent?.id ?? null;
  });
}
