import { defaultAgentFirst } from '../access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { ModelEndpoint } from '../engine/ports.ts';
import type { Agent, Secret } from '../generated/prisma/client.ts';
import type { SpeechEndpoint, TranscriptionEndpoint } from '../providers/endpoints.ts';
import { SecretUnreadableError } from '../secrets/key-ring.ts';
import { openSecret } from '../secrets/stored-secrets.ts';
import { type ProviderKey, resolveLlm } from './endpoints.ts';
import type { AgentHost } from './host.ts';
import { resolveStt, resolveTts } from './speech-endpoints.ts';

/** An agent with its providers, keys included: as turns and speech use it. It never leaves the server. */
export interface ResolvedAgent {
  readonly agent: Agent;
  readonly llm: ModelEndpoint;
  /** Null: it does not speak. */
  readonly tts: SpeechEndpoint | null;
  /** Null: it does not listen. */
  readonly stt: TranscriptionEndpoint | null;
}

/**
 * Agents of the viewer's tenant by row id, out of the cache; one statement for those that are not in it. Those that are
 * gone are missing from the answer; whether the viewer may use them is for the caller to know.
 */
export async function resolveAgents(
  viewer: Viewer,
  host: AgentHost,
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
      return loadAgents(host, tenantId, now);
    });
    return loading.then((found) => found.get(id) ?? null);
  };
  const agents = await Promise.all(wanted.map((id) => host.config.get(tenantId, `agent:${id}`, () => load(id))));
  return new Map(wanted.flatMap((id, index) => (agents[index] ? [[id, agents[index]] as const] : [])));
}

async function loadAgents(
  host: AgentHost,
  tenantId: string,
  ids: readonly string[],
): Promise<Map<string, ResolvedAgent>> {
  const rows = await host.db.agent.findMany({
    where: { tenantId, id: { in: [...ids] }, deletedAt: null },
    include: { secrets: true },
  });
  const resolved = await Promise.all(rows.map((row) => resolve(host, row)));
  return new Map(resolved.map((agent) => [agent.agent.id, agent]));
}

async function resolve(host: AgentHost, row: Agent & { readonly secrets: readonly Secret[] }): Promise<ResolvedAgent> {
  const { secrets, ...agent } = row;
  const keyFor = async (name: string): Promise<ProviderKey | null> => {
    const secret = secrets.find((candidate) => candidate.name === name);
    return secret ? { origin: secret.origin, value: await openKey(host, secret) } : null;
  };
  return {
    agent,
    llm: resolveLlm(agent.llm, await keyFor('llm'), host.defaults.llm.endpoint),
    tts: resolveTts(agent.tts, await keyFor('tts'), host.defaults.tts?.endpoint ?? null),
    stt: resolveStt(agent.stt, await keyFor('stt'), host.defaults.stt?.endpoint ?? null),
  };
}

/** A key that cannot be read is sent to nobody, and no other in its place: the provider refuses, the others go on. */
async function openKey(host: AgentHost, secret: Secret): Promise<string> {
  try {
    return await openSecret(host.keys, secret);
  } catch (error) {
    if (!(error instanceof SecretUnreadableError)) throw error;
    host.logger.error({ err: error }, 'a key is missing in ENCRYPTION_KEYS, or a stored one was tampered with');
    return '';
  }
}

/**
 * The row id of the agent that answers where nothing else was chosen: the viewer's own default, else the tenant's, else
 * the development agent. Null: none of them is there and active. Out of the cache.
 */
export function findDefaultAgent(viewer: Viewer, host: AgentHost): Promise<string | null> {
  return host.config.get(viewer.tenantId, `default:${viewer.userId}`, async () => {
    const agent = await host.db.agent.findFirst({ ...defaultAgentFirst(viewer), select: { id: true } });
    return agent?.id ?? null;
  });
}
