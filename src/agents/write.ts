import { ConflictError } from '../api/errors.ts';
import { parseId } from '../api/ids.ts';
import { explainMissingAgent, requireAdmin, visibleAgents } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import { type Agent, Prisma } from '../generated/prisma/client.ts';
import { lockDefault, unsetDefault } from './default.ts';
import type { AgentDependencies } from './dependencies.ts';
import { readAgentChange, readNewAgent } from './input.ts';
import { settleProviders } from './providers/write.ts';
import type { AgentQuery } from './read.ts';

const changeShared = 'change agents that are shared';

/**
 * Makes an agent: the viewer's own, or for an admin one of the tenant.
 * @param input CreateAgentInput
 * @throws {BadUserInputError} naming the field; {@link ForbiddenError} for a shared one by somebody who is no admin;
 *   {@link ConflictError} where a shared one has the name; {@link RateLimitedError}
 */
export async function createAgent(
  viewer: Viewer,
  deps: AgentDependencies,
  input: unknown,
  query: AgentQuery = {},
): Promise<Agent> {
  await deps.operationLimit.take(viewer);
  const { providers, isShared, ...given } = await readNewAgent(viewer, deps, input);
  if (isShared) requireAdmin(viewer, 'make agents that are shared');
  const { tenantId } = viewer;
  const ownerId = isShared ? null : viewer.userId;
  return write(viewer, deps, given.name, async (tx) => {
    if (given.isDefault) {
      await lockDefault(tx, tenantId, ownerId);
      await unsetDefault(tx, tenantId, ownerId);
    }
    const { id } = await tx.agent.create({ data: { ...given, tenantId, ownerId }, select: { id: true } });
    const data = await settleProviders(tx, deps, { tenantId, agentId: id }, providers, null);
    return tx.agent.update({ where: { id }, data, ...query });
  });
}

/**
 * Changes what is given of an agent and leaves what is absent. Turns that are running keep what they began with. An
 * agent that is switched off is the default no longer.
 * @param id the public id
 * @param input UpdateAgentInput
 * @throws {BadUserInputError | ForbiddenError | ConflictError | RateLimitedError} as createAgent does;
 *   {@link NotFoundError} when there is none
 */
export async function updateAgent(
  viewer: Viewer,
  deps: AgentDependencies,
  id: string,
  input: unknown,
  query: AgentQuery = {},
): Promise<Agent> {
  await deps.operationLimit.take(viewer);
  const row = parseId('Agent', id, ['id']);
  const { providers, ...given } = await readAgentChange(viewer, deps, row, input);
  const { tenantId } = viewer;
  return write(viewer, deps, given.name ?? null, async (tx) => {
    await lockOwn(viewer, tx, row, Prisma.sql`FOR NO KEY UPDATE`);
    const { secrets, ...columns } = await tx.agent.findUniqueOrThrow({ where: { id: row }, select: providersOfAgent });
    const settled = await settleProviders(tx, deps, { tenantId, agentId: row }, providers, { columns, secrets });
    const { name, description, instructions, toolNames, isActive } = given;
    return tx.agent.update({
      where: { id: row },
      data: {
        ...settled,
        ...(name !== undefined && { name }),
        ...(description !== undefined && { description }),
        ...(instructions !== undefined && { instructions }),
        ...(toolNames !== undefined && { toolNames }),
        ...(isActive !== undefined && { isActive }),
        ...(isActive === false && { isDefault: false }),
      },
      ...query,
    });
  });
}

/**
 * Deletes an agent and its keys. Its row stays, so that what it has written can still say who wrote it; conversations
 * in which it had the floor go on with the default agent.
 * @param id the public id
 * @returns the public id
 * @throws {ConflictError} naming the scenarios that it is in; {@link NotFoundError}, {@link ForbiddenError},
 *   {@link BadUserInputError} for the id; {@link RateLimitedError}
 */
export async function deleteAgent(viewer: Viewer, deps: AgentDependencies, id: string): Promise<string> {
  await deps.operationLimit.take(viewer);
  const row = parseId('Agent', id, ['id']);
  const { tenantId } = viewer;
  await write(viewer, deps, null, async (tx) => {
    // Whoever puts it into a scenario at the same time holds the row, or waits and then finds it deleted.
    await lockOwn(viewer, tx, row, Prisma.sql`FOR UPDATE`);
    const places = await tx.scenarioAgent.findMany({
      where: { tenantId, agentId: row },
      select: { scenario: { select: { key: true } } },
      orderBy: { scenario: { key: 'asc' } },
      take: maxNamed + 1,
    });
    if (places.length > 0) throw new ConflictError(describeUse(places.map((place) => place.scenario.key)));
    await tx.secret.deleteMany({ where: { agentId: row } });
    await tx.agent.update({ where: { id: row }, data: { deletedAt: new Date(), isDefault: false } });
  });
  // Not in the transaction: who changes settings holds these rows first and the agent's then, the other way round.
  await deps.db.chatSettingsAgent.deleteMany({ where: { tenantId, agentId: row } });
  return id;
}

const providersOfAgent = {
  llm: true,
  tts: true,
  stt: true,
  secrets: { select: { name: true, origin: true } },
} as const;

/** How many scenarios an error names. */
const maxNamed = 10;

function describeUse(keys: readonly string[]): string {
  const named = keys.slice(0, maxNamed).map((key) => JSON.stringify(key));
  const more = keys.length > maxNamed ? ' and others' : '';
  const scenarios = keys.length === 1 ? 'the scenario' : 'the scenarios';
  return `The agent is used by ${scenarios} ${named.join(', ')}${more}: take it out of there first, or switch it off.`;
}

/**
 * Holds the row of an agent that the viewer may change, until the end of the transaction.
 * @throws {NotFoundError | ForbiddenError} where there is none, or it is not the viewer's to change
 */
export async function lockOwn(
  viewer: Viewer,
  tx: Prisma.TransactionClient,
  row: string,
  strength: Prisma.Sql,
): Promise<void> {
  await tx.$queryRaw`SELECT id FROM agents WHERE id = ${row}::uuid AND tenant_id = ${viewer.tenantId} ${strength}`;
  const agent = await tx.agent.findUnique({ where: { ...visibleAgents(viewer), id: row }, select: { ownerId: true } });
  if (agent === null) throw await explainMissingAgent(viewer, tx, row);
  if (agent.ownerId === null) requireAdmin(viewer, changeShared);
}

/**
 * Runs a change in a transaction, and forgets what was remembered of the tenant's configuration before it answers.
 * @param name what the agent will be called, for the error where another one is called that
 */
async function write<T>(
  viewer: Viewer,
  deps: AgentDependencies,
  name: string | null,
  work: (tx: Prisma.TransactionClient) => Promise<T>,
): Promise<T> {
  try {
    return await deps.db.$transaction(work);
  } catch (error) {
    if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== 'P2002' || name === null)
      throw error;
    throw new ConflictError(`Your tenant has a shared agent named ${JSON.stringify(name)} already.`);
  } finally {
    deps.config.drop(viewer.tenantId);
  }
}
