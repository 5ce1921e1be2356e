import { NotFoundError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { badInput, type InputPath } from '../api/input.ts';
import { defaultAgentFirst, explainMissingAgent, visibleAgents } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';

/** The scenario of a conversation, and the agent that answers next in it, as row ids. */
export interface Floor {
  readonly scenarioId: string | null;
  readonly activeAgentId: string | null;
  /** Whether neither was chosen: then whoever is the default agent answers, also when that becomes another one. */
  readonly followsDefault: boolean;
}

/** A scenario as a conversation names it: by its key, in its project where it has one. */
export interface ScenarioName {
  readonly key: string;
  readonly projectId: string | null;
}

/**
 * The row ids of agents that the viewer may give the floor to: visible and active. One statement.
 * @param ids public ids
 * @param pathOf where each of them stood
 * @throws {BadUserInputError} when an id is malformed, or its agent is not active
 * @throws {NotFoundError | ForbiddenError} when one is not there, or is somebody else's
 */
export async function requireUsableAgents(
  viewer: Viewer,
  db: Db,
  ids: readonly string[],
  pathOf: (index: number) => InputPath,
): Promise<string[]> {
  const wanted = new Map(ids.map((id, index) => [parseId('Agent', id, pathOf(index)), index]));
  if (wanted.size === 0) return [];
  const rows = await db.agent.findMany({
    where: { ...visibleAgents(viewer), id: { in: [...wanted.keys()] } },
    select: { id: true, isActive: true },
  });
  const found = new Map(rows.map((row) => [row.id, row]));
  for (const [row, index] of wanted) {
    const agent = found.get(row);
    if (agent === undefined) throw await explainMissingAgent(viewer, db, row);
    if (!agent.isActive) throw badInput(pathOf(index), `names an agent that is not active: ${formatId('Agent', row)}`);
  }
  return [...wanted.keys()];
}

/**
 * Where a conversation begins with an agent but no scenario, or with neither: the given agent, else the viewer's
 * default, else the tenant's, else the development agent, else nobody.
 */
export async function chooseWithoutScenario(
  viewer: Viewer,
  db: Db,
  agentId: string | null,
  path: InputPath,
): Promise<Floor> {
  if (agentId !== null) {
    const agent = await requireAgent(viewer, db, agentId, path);
    return { scenarioId: null, activeAgentId: agent, followsDefault: false };
  }
  const agent = await db.agent.findFirst({ ...defaultAgentFirst(viewer), select: { id: true } });
  return { scenarioId: null, activeAgentId: agent?.id ?? null, followsDefault: true };
}

/**
 * Where a conversation stands in a scenario: at the given member, else at the root. One statement.
 * @param by the scenario's key, or its row id; of two with the key, the project's own goes before the tenant's
 * @param path of the input that names both
 * @throws {NotFoundError} when the tenant has no such scenario
 * @throws {BadUserInputError} when the scenario or the agent is not active, or the agent is no member
 */
export async function chooseInScenario(
  viewer: Viewer,
  db: Db,
  by: ScenarioName | { readonly id: string },
  agentId: string | null,
  path: InputPath,
): Promise<Floor> {
  const { tenantId } = viewer;
  const agentRow = agentId === null ? null : parseId('Agent', agentId, [...path, 'agentId']);
  const scenario = await db.scenario.findFirst({
    where: 'key' in by ? { tenantId, key: by.key, OR: projectsOf(by) } : { id: by.id, tenantId },
    orderBy: { projectId: { sort: 'asc', nulls: 'last' } },
    select: {
      id: true,
      key: true,
      isActive: true,
      agents: {
        where: agentRow === null ? { isRoot: true } : { agentId: agentRow },
        select: { agentId: true, agent: { select: { isActive: true, deletedAt: true } } },
      },
    },
  });
  if (scenario === null) {
    const named = 'key' in by ? ` with the key ${JSON.stringify(by.key)}` : '';
    throw new NotFoundError(`There is no scenario${named}.`);
  }
  if ('key' in by && !scenario.isActive)
    throw badInput([...path, 'scenarioKey'], 'names a scenario that is not active');
  const member = scenario.agents[0];
  const usable = member?.agent.isActive === true && member.agent.deletedAt === null;
  if (agentRow !== null && member === undefined) {
    // Somebody else's agent is FORBIDDEN and an absent one NOT_FOUND, in a scenario or not.
    await requireAgent(viewer, db, formatId('Agent', agentRow), [...path, 'agentId']);
    throw badInput([...path, 'agentId'], `names an agent that is not in the scenario ${JSON.stringify(scenario.key)}`);
  }
  if (!usable) {
    throw agentRow === null
      ? badInput([...path, 'scenarioKey'], 'names a scenario whose root agent is not active')
      : badInput([...path, 'agentId'], 'names an agent that is not active');
  }
  return { scenarioId: scenario.id, activeAgentId: member.agentId, followsDefault: false };
}

/** Which scenarios of a key are looked at: the tenant's, and the project's own. */
function projectsOf({ projectId }: ScenarioName) {
  return [{ projectId: null }, ...(projectId === null ? [] : [{ projectId }])];
}

/** The row id of one agent that the viewer may give the floor to. */
async function requireAgent(viewer: Viewer, db: Db, id: string, path: InputPath): Promise<string> {
  const row = parseId('Agent', id, path);
  const agent = await db.agent.findUnique({
    where: { ...visibleAgents(viewer), id: row },
    select: { id: true, isActive: true },
  });
  if (agent === null) throw await explainMissingAgent(viewer, db, row);
  if (!agent.isActive) throw badInput(path, 'names an agent that is not active');
  return agent.id;
}
