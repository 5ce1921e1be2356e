import { isDeepStrictEqual } from 'node:util';
import { BadUserInputError } from '../api/errors.ts';
import { type Agent, Prisma, type Secret } from '../generated/prisma/client.ts';
import type { Guardrail } from '../guardrails/config.ts';
import { dropSecret } from '../secrets/stored-secrets.ts';
import { llmConfig } from './providers/config.ts';
import type { ProviderRules } from './providers/defaults.ts';
import { checkProviders, type ProviderInputs } from './providers/input.ts';

/** A shared agent as a file describes it. */
export interface WrittenAgent {
  readonly name: string;
  readonly description?: string | undefined;
  readonly instructions: string;
  /** Names of tools; they are not checked to exist. */
  readonly tools: readonly string[];
  readonly isActive: boolean;
  /** Absent: the stored provider stays. Null: the environment's. */
  readonly llm?: ProviderInputs['llm'];
}

/** A stored agent with its key for its model. */
type StoredAgent = Agent & { readonly secrets: readonly Secret[] };

/** What an import did with an agent. */
export interface AgentImport {
  readonly name: string;
  readonly change: 'created' | 'updated' | 'unchanged';
}

/**
 * Creates or changes the tenant's shared agents, by name, so that they are as a file describes them. A provider that the
 * file does not mention stays. One that it mentions keeps its key while it stays on the key's origin, else it loses it.
 * @param tx a transaction that has locked the tenant's row
 * @returns the row ids of all, by name, and what was done with each
 * @throws {BadUserInputError} naming the agent by its position, if it has no key of its own and asks for what the
 *   operator's key may not be used for
 */
export async function importAgents(
  tx: Prisma.TransactionClient,
  rules: ProviderRules,
  tenantId: string,
  agents: readonly WrittenAgent[],
): Promise<{ readonly ids: ReadonlyMap<string, string>; readonly changes: readonly AgentImport[] }> {
  const names = agents.map(({ name }) => name);
  const where = { tenantId, ownerId: null, projectId: null, deletedAt: null, name: { in: names } };
  // Locked until the transaction ends, so that none of them is deleted meanwhile.
  await tx.$queryRaw`
    SELECT 1 FROM agents WHERE tenant_id = ${tenantId} AND owner_id IS NULL AND project_id IS NULL AND deleted_at IS NULL
      AND name = ANY(${names}::text[]) ORDER BY id FOR NO KEY UPDATE`;
  const include = { secrets: { where: { name: 'llm' } } };
  const present = new Map((await tx.agent.findMany({ where, include })).map((row) => [row.name, row]));
  for (const [index, agent] of agents.entries()) assertModelAllowed(rules, agent, index, present.get(agent.name));
  const changes = agents.map((agent): AgentImport => {
    const row = present.get(agent.name);
    const change = row === undefined ? 'created' : isUnchanged(rules, row, agent) ? 'unchanged' : 'updated';
    return { name: agent.name, change };
  });
  const missing = agents.filter(({ name }) => !present.has(name));
  const added = await addSharedAgents(
    tx,
    tenantId,
    missing.map((agent) => ({ name: agent.name, ...columnsOf(agent), llm: configOf(rules, agent) })),
  );
  for (const [index, agent] of agents.entries()) {
    const row = present.get(agent.name);
    if (row !== undefined && changes[index]?.change === 'updated') await changeAgent(tx, rules, row, agent);
  }
  return { ids: new Map([...[...present.values()].map(({ name, id }) => [name, id] as const), ...added]), changes };
}

/**
 * Sets the guardrails of shared agents. The agents that classify are there already.
 * @param tx a transaction that has locked the tenant's row
 * @param agents with their row ids, as the agents of their classifiers are
 * @returns the names of those whose guardrails were others before
 */
export async function importGuardrails(
  tx: Prisma.TransactionClient,
  tenantId: string,
  agents: readonly { readonly name: string; readonly id: string; readonly guardrails: readonly Guardrail[] }[],
): Promise<ReadonlySet<string>> {
  const changed = new Set<string>();
  for (const { name, id, guardrails } of agents) {
    const [row] = await tx.$queryRaw<{ id: string }[]>`
      UPDATE agents SET guardrails = ${JSON.stringify(guardrails)}::jsonb, updated_at = now()
      WHERE tenant_id = ${tenantId} AND id = ${id}::uuid AND guardrails <> ${JSON.stringify(guardrails)}::jsonb
      RETURNING id::text`;
    if (row) changed.add(name);
  }
  return changed;
}

/** A shared agent to add; its values were checked before. */
export interface SharedAgentDraft {
  readonly name: string;
  readonly description: string | null;
  readonly instructions: string;
  readonly toolNames: readonly string[];
  readonly isDefault?: boolean;
  readonly isActive?: boolean;
  /** The LLM configuration. Null: the environment's. */
  readonly llm: Prisma.InputJsonObject | null;
}

/**
 * Adds shared agents to a tenant. One statement.
 * @param tx a transaction that has locked the tenant's row
 * @returns row ids by name
 */
export async function addSharedAgents(
  tx: Prisma.TransactionClient,
  tenantId: string,
  agents: readonly SharedAgentDraft[],
): Promise<Map<string, string>> {
  if (agents.length === 0) return new Map();
  const start = Date.now();
  const added = await tx.agent.createManyAndReturn({
    data: agents.map(({ toolNames, llm, ...agent }, index) => ({
      ...agent,
      tenantId,
      toolNames: [...toolNames],
      llm: llm ?? Prisma.DbNull,
      // Lists are ordered by age: this keeps the order of the file.
      createdAt: new Date(start + index),
    })),
    select: { id: true, name: true },
  });
  return new Map(added.map(({ name, id }) => [name, id]));
}

/**
 * The shared agents of a tenant.
 * @param db a transaction that has locked the tenant's row
 * @returns the row ids by name, and whether one of them is the tenant's default agent
 */
export async function listSharedAgents(
  db: Prisma.TransactionClient,
  tenantId: string,
): Promise<{ readonly ids: ReadonlyMap<string, string>; readonly hasDefault: boolean }> {
  const rows = await db.agent.findMany({
    where: { tenantId, ownerId: null, projectId: null, deletedAt: null },
    select: { id: true, name: true, isDefault: true },
  });
  return { ids: new Map(rows.map(({ name, id }) => [name, id])), hasDefault: rows.some(({ isDefault }) => isDefault) };
}

function columnsOf(agent: WrittenAgent) {
  const { description = null, instructions, tools, isActive } = agent;
  return { description, instructions, toolNames: [...tools], isActive };
}

function assertModelAllowed(rules: ProviderRules, agent: WrittenAgent, index: number, row: StoredAgent | undefined) {
  const draft = checkProviders(rules, { llm: agent.llm }).llm;
  if (!draft?.operatorKeyProblem || row?.secrets.some(({ origin }) => origin === draft.origin)) return;
  const { message, argument } = draft.operatorKeyProblem;
  throw new BadUserInputError(message.replace(/^input\./, `agents.${index}.`), argument);
}

/** The LLM configuration that a file describes. Null: the environment's. */
function configOf(rules: ProviderRules, { llm }: WrittenAgent): Prisma.InputJsonObject | null {
  const draft = checkProviders(rules, { llm }).llm;
  return draft ? { ...draft.config } : null;
}

function isUnchanged(rules: ProviderRules, row: Agent, agent: WrittenAgent): boolean {
  const { description, instructions, toolNames, isActive } = row;
  const stored = { description, instructions, toolNames, isActive };
  return isDeepStrictEqual(stored, columnsOf(agent)) && (agent.llm === undefined || hasProvider(rules, row, agent));
}

/** Whether the row has the provider of the file; what the server itself stores in the configuration does not count. */
function hasProvider(rules: ProviderRules, row: Agent, agent: WrittenAgent): boolean {
  const normalize = (config: unknown) =>
    config === null ? null : { ...llmConfig.parse(config), apiKeyHint: null, keyDropped: undefined };
  return isDeepStrictEqual(normalize(row.llm), normalize(configOf(rules, agent)));
}

async function changeAgent(
  tx: Prisma.TransactionClient,
  rules: ProviderRules,
  { id, tenantId, secrets }: StoredAgent,
  agent: WrittenAgent,
): Promise<void> {
  const { llm } = checkProviders(rules, { llm: agent.llm });
  if (llm === undefined) {
    await tx.agent.update({ where: { id, tenantId }, data: columnsOf(agent) });
    return;
  }
  const moved = secrets.some(({ origin }) => origin !== llm?.origin);
  if (moved) await dropSecret(tx, { agentId: id }, 'llm');
  const config = llm && { ...llm.config, ...(moved && { keyDropped: true }) };
  await tx.agent.update({ where: { id, tenantId }, data: { ...columnsOf(agent), llm: config ?? Prisma.DbNull } });
}
