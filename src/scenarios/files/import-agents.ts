import { isDeepStrictEqual } from 'node:util';
import { llmConfig } from '../../agents/providers/config.ts';
import { checkProviders, type ProviderRules } from '../../agents/providers/input.ts';
import { type Agent, Prisma } from '../../generated/prisma/client.ts';
import { dropSecret } from '../../secrets/stored-secrets.ts';
import type { ScenarioContent } from './format.ts';

type WrittenAgent = ScenarioContent['agents'][number];

/** What became of an agent of a file. */
export interface AgentChange {
  readonly name: string;
  readonly change: 'created' | 'updated' | 'unchanged';
}

/**
 * Makes the tenant's shared agents what a file says, by their names. A provider that the file does not mention stays as
 * it is; one that it does keeps its key where it stays on the key's origin, and loses it where it does not.
 * @param tx holds the tenant's row
 * @returns the row ids of all, by name, and what became of each
 */
export async function importAgents(
  tx: Prisma.TransactionClient,
  rules: ProviderRules,
  tenantId: string,
  agents: readonly WrittenAgent[],
): Promise<{ readonly ids: ReadonlyMap<string, string>; readonly changes: readonly AgentChange[] }> {
  const names = agents.map(({ name }) => name);
  const where = { tenantId, ownerId: null, deletedAt: null, name: { in: names } };
  // Held until the end, so that none of them is deleted meanwhile.
  await tx.$queryRaw`
    SELECT 1 FROM agents WHERE tenant_id = ${tenantId} AND owner_id IS NULL AND deleted_at IS NULL
      AND name = ANY(${names}::text[]) ORDER BY id FOR NO KEY UPDATE`;
  const present = new Map((await tx.agent.findMany({ where })).map((row) => [row.name, row]));
  const changes = agents.map((agent): AgentChange => {
    const row = present.get(agent.name);
    const change = row === undefined ? 'created' : isSame(rules, row, agent) ? 'unchanged' : 'updated';
    return { name: agent.name, change };
  });
  const missing = agents.filter(({ name }) => !present.has(name));
  const start = Date.now();
  const added = await tx.agent.createManyAndReturn({
    data: missing.map((agent, index) => ({
      ...columnsOf(agent),
      tenantId,
      name: agent.name,
      llm: configOf(rules, agent) ?? Prisma.DbNull,
      // Lists are in the order of age: this keeps the order of the file.
      createdAt: new Date(start + index),
    })),
    select: { id: true, name: true },
  });
  for (const [index, agent] of agents.entries()) {
    const row = present.get(agent.name);
    if (row !== undefined && changes[index]?.change === 'updated') await changeAgent(tx, rules, row, agent);
  }
  return { ids: new Map([...present.values(), ...added].map(({ name, id }) => [name, id])), changes };
}

function columnsOf(agent: WrittenAgent) {
  const { description = null, instructions, tools, isActive } = agent;
  return { description, instructions, toolNames: tools, isActive };
}

/** The column of the model provider. Null: the environment's. */
function configOf(rules: ProviderRules, { llm }: WrittenAgent): Prisma.InputJsonObject | null {
  const draft = checkProviders(rules, { llm }).llm;
  return draft ? { ...draft.config } : null;
}

function isSame(rules: ProviderRules, row: Agent, agent: WrittenAgent): boolean {
  const { description, instructions, toolNames, isActive } = row;
  const stored = { description, instructions, toolNames, isActive };
  return isDeepStrictEqual(stored, columnsOf(agent)) && (agent.llm === undefined || hasProvider(rules, row, agent));
}

/** Whether the row has the provider of the file; what the server keeps beside it does not count. */
function hasProvider(rules: ProviderRules, row: Agent, agent: WrittenAgent): boolean {
  const settle = (config: unknown) =>
    config === null ? null : { ...llmConfig.parse(config), apiKeyHint: null, keyDropped: undefined };
  return isDeepStrictEqual(settle(row.llm), settle(configOf(rules, agent)));
}

async function changeAgent(
  tx: Prisma.TransactionClient,
  rules: ProviderRules,
  { id, tenantId }: Agent,
  agent: WrittenAgent,
): Promise<void> {
  const { llm } = checkProviders(rules, { llm: agent.llm });
  if (llm === undefined) {
    await tx.agent.update({ where: { id, tenantId }, data: columnsOf(agent) });
    return;
  }
  const key = await tx.secret.findUnique({ where: { agentId_name: { agentId: id, name: 'llm' } } });
  const moved = key !== null && key.origin !== llm?.origin;
  if (moved) await dropSecret(tx, { agentId: id }, 'llm');
  const config = llm && { ...llm.config, ...(moved && { keyDropped: true }) };
  await tx.agent.update({ where: { id, tenantId }, data: { ...columnsOf(agent), llm: config ?? Prisma.DbNull } });
}
