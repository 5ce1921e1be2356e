import type { Database } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { readSeed, type Seed } from './seed-file.ts';

export { readSeed, type Seed };

/**
 * Gives a tenant what the seed has and the tenant lacks: shared agents by name, scenarios by key, orders by number.
 * Nothing that is there is changed, so an operator's or an admin's edits stay, and a seed file that was replaced only
 * adds. One transaction; it holds the tenant's row, so two instances that start at once seed once.
 * @returns whether anything was looked at: false where this very seed was loaded before
 */
export async function seedTenant(db: Database, tenantId: string, seed: Seed): Promise<boolean> {
  return db.$transaction(async (tx) => {
    await tx.tenant.createMany({ data: [{ id: tenantId }], skipDuplicates: true });
    const [tenant] = await tx.$queryRaw<{ seeded_with: string | null }[]>`
      SELECT seeded_with FROM tenants WHERE id = ${tenantId} FOR UPDATE`;
    if (tenant === undefined || tenant.seeded_with === seed.checksum) return false;
    const agents = await addAgents(tx, tenantId, seed);
    await addScenarios(tx, tenantId, seed, agents);
    await tx.order.createMany({
      data: seed.orders.map(({ eta = null, ...order }) => ({ ...order, eta, tenantId })),
      skipDuplicates: true,
    });
    await tx.tenant.update({ where: { id: tenantId }, data: { seededWith: seed.checksum } });
    return true;
  });
}

/** Adds the shared agents that are missing; the answer has the row ids of all that the seed names. */
async function addAgents(tx: Prisma.TransactionClient, tenantId: string, seed: Seed): Promise<Map<string, string>> {
  const present = await tx.agent.findMany({
    where: { tenantId, ownerId: null, deletedAt: null },
    select: { id: true, name: true, isDefault: true },
  });
  const ids = new Map(present.map((row) => [row.name, row.id]));
  const hasDefault = present.some((row) => row.isDefault);
  const start = Date.now();
  const added = await tx.agent.createManyAndReturn({
    data: seed.agents
      .filter((agent) => !ids.has(agent.name))
      .map((agent, index) => ({
        tenantId,
        name: agent.name,
        description: agent.description ?? null,
        instructions: agent.instructions,
        isDefault: agent.isDefault && !hasDefault,
        toolNames: agent.tools,
        llm: agent.llm ?? Prisma.DbNull,
        // Lists are in the order of age: this keeps the order of the file.
        createdAt: new Date(start + index),
      })),
    select: { id: true, name: true },
  });
  for (const row of added) ids.set(row.name, row.id);
  return ids;
}

async function addScenarios(
  tx: Prisma.TransactionClient,
  tenantId: string,
  seed: Seed,
  agents: ReadonlyMap<string, string>,
): Promise<void> {
  const idOf = (name: string) => {
    const id = agents.get(name);
    if (id === undefined) throw new Error(`The seed names the agent ${JSON.stringify(name)}, which it does not have.`);
    return id;
  };
  const present = await tx.scenario.findMany({ where: { tenantId, projectId: null }, select: { key: true } });
  const keys = new Set(present.map((row) => row.key));
  const missing = seed.scenarios.filter((scenario) => !keys.has(scenario.key));
  const start = Date.now();
  const added = await tx.scenario.createManyAndReturn({
    data: missing.map((scenario, index) => ({
      tenantId,
      key: scenario.key,
      name: scenario.name,
      description: scenario.description ?? null,
      createdAt: new Date(start + index),
    })),
    select: { id: true, key: true },
  });
  const ids = new Map(added.map((row) => [row.key, row.id]));
  const graphs = missing.flatMap((scenario) => {
    const scenarioId = ids.get(scenario.key);
    return scenarioId === undefined ? [] : [{ scenario, scenarioId }];
  });
  await tx.scenarioAgent.createMany({
    data: graphs.flatMap(({ scenario, scenarioId }) =>
      scenario.agents.map((member, position) => ({
        tenantId,
        scenarioId,
        agentId: idOf(member.agent),
        isRoot: member.agent === scenario.root,
        position,
      })),
    ),
  });
  await tx.handoffEdge.createMany({
    data: graphs.flatMap(({ scenario, scenarioId }) =>
      scenario.agents.flatMap((member) =>
        member.handoffs.map((handoff, position) => ({
          scenarioId,
          fromAgentId: idOf(member.agent),
          toAgentId: idOf(handoff.to),
          description: handoff.description ?? null,
          position,
        })),
      ),
    ),
  });
}
