import { addSharedAgents, importGuardrails, listSharedAgents } from '../agents/import.ts';
import type { Database } from '../database/client.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import { renameClassifiers } from '../guardrails/input.ts';
import type { KnowledgeRuntime } from '../knowledge/runtime.ts';
import { addMissingBases } from '../knowledge/seed-bases.ts';
import { nameOrchestration } from '../scenarios/orchestration.ts';
import { addMissingScenarios } from '../scenarios/write-graph.ts';
import type { Seed } from './seed-file.ts';

/** What seeding a tenant takes. */
export interface SeedDependencies {
  readonly db: Database;
  /** Has the documents of the seed indexed. */
  readonly knowledge: Pick<KnowledgeRuntime, 'jobs' | 'bounds'>;
}

/**
 * Adds to a tenant what the seed has and the tenant lacks: shared agents by name, scenarios by key, orders by number,
 * knowledge bases with their documents by name. Nothing that exists is changed, so later edits stay, and a new seed file only adds. One transaction, which locks the
 * tenant's row: two instances that start at the same time seed it once.
 * @returns false: this seed was loaded before
 */
export async function seedTenant({ db, knowledge }: SeedDependencies, tenantId: string, seed: Seed): Promise<boolean> {
  return db.$transaction(async (tx) => {
    await tx.tenant.createMany({ data: [{ id: tenantId }], skipDuplicates: true });
    const [tenant] = await tx.$queryRaw<{ seeded_with: string | null }[]>`
      SELECT seeded_with FROM tenants WHERE id = ${tenantId} FOR UPDATE`;
    if (tenant === undefined || tenant.seeded_with === seed.checksum) return false;
    const agents = await addMissingAgents(tx, tenantId, seed);
    await addScenarios(tx, tenantId, seed, agents);
    await tx.order.createMany({
      data: seed.orders.map(({ eta = null, ...order }) => ({ ...order, eta, tenantId })),
      skipDuplicates: true,
    });
    await addMissingBases(tx, knowledge, tenantId, seed.knowledgeBases);
    await tx.tenant.update({ where: { id: tenantId }, data: { seededWith: seed.checksum } });
    return true;
  });
}

/** @returns the row ids of all shared agents, by name */
async function addMissingAgents(
  tx: Prisma.TransactionClient,
  tenantId: string,
  seed: Seed,
): Promise<ReadonlyMap<string, string>> {
  const { ids, hasDefault } = await listSharedAgents(tx, tenantId);
  const missing = seed.agents.filter(({ name }) => !ids.has(name));
  const added = await addSharedAgents(
    tx,
    tenantId,
    missing.map(({ name, description = null, instructions, tools, isDefault, llm = null }) => ({
      name,
      description,
      instructions,
      toolNames: tools,
      isDefault: isDefault && !hasDefault,
      llm,
    })),
  );
  const all = new Map([...ids, ...added]);
  const guarded = missing.flatMap(({ name, guardrails }) => {
    const id = all.get(name);
    if (id === undefined || guardrails.length === 0) return [];
    return [{ name, id, guardrails: renameClassifiers(guardrails, (agent) => all.get(agent) ?? agent) }];
  });
  await importGuardrails(tx, tenantId, guarded);
  return all;
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
  await addMissingScenarios(
    tx,
    tenantId,
    seed.scenarios.map(({ key, name, description = null, root, agents: members, guardrails, orchestration }) => ({
      key,
      name,
      description,
      guardrails: renameClassifiers(guardrails, idOf),
      orchestration: nameOrchestration(orchestration, idOf),
      graph: {
        rootAgentId: idOf(root),
        members: members.map(({ agent, handoffs }) => ({
          agentId: idOf(agent),
          handoffs: handoffs.map((handoff) => ({
            toAgentId: idOf(handoff.to),
            description: handoff.description ?? null,
          })),
        })),
      },
    })),
  );
}
