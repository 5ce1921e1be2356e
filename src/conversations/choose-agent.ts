import { readDefaultAgentId } from '../agents/read.ts';
import { requireUsableAgent } from '../agents/require.ts';
import { formatId, parseId } from '../api/ids.ts';
import { badInput, type InputPath } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { findScenarioMember, type ScenarioName } from '../scenarios/members.ts';

/** The columns of a conversation that determine its active agent. Row ids. */
export interface ActiveAgentColumns {
  readonly scenarioId: string | null;
  /** The active agent, which answers next. Null: nobody. */
  readonly activeAgentId: string | null;
  /** Whether neither was chosen: then the default agent answers, also after another agent becomes the default. */
  readonly followsDefault: boolean;
}

/**
 * Chooses the active agent of a conversation without a scenario: the given agent, else the viewer's default agent, else
 * the tenant's, else the development agent, else nobody.
 * @param agentId the public id
 * @param path of the id in the arguments, for errors
 * @param projectId the row id of the project of the conversation; null: it is in none
 * @throws {BadUserInputError} if the id is malformed, or the agent is not active or belongs to another project;
 *   {@link NotFoundError}; {@link ForbiddenError} if it is another user's, or of a project of which the viewer is no member
 */
export async function chooseWithoutScenario(
  viewer: Viewer,
  db: Db,
  agentId: string | null,
  path: InputPath,
  projectId: string | null,
): Promise<ActiveAgentColumns> {
  if (agentId === null) {
    return { scenarioId: null, activeAgentId: await readDefaultAgentId(viewer, db), followsDefault: true };
  }
  const activeAgentId = await requireUsableAgent(viewer, db, agentId, path, { projectId });
  return { scenarioId: null, activeAgentId, followsDefault: false };
}

/**
 * Chooses the active agent of a conversation in a scenario: the given member, else the root. One statement.
 * @param agentId the public id of a member; null: the root
 * @param path of the input that has scenarioKey and agentId
 * @param agentField the name of the field that has agentId
 * @throws {NotFoundError} if the tenant has no such scenario
 * @throws {BadUserInputError} if the scenario or the agent is not active, or the agent is not a member
 */
export async function chooseInScenario(
  viewer: Viewer,
  db: Db,
  name: ScenarioName,
  agentId: string | null,
  path: InputPath,
  agentField = 'agentId',
): Promise<ActiveAgentColumns & { readonly scenarioId: string; readonly activeAgentId: string }> {
  const agentPath = [...path, agentField];
  const scenarioPath = [...path, 'scenarioKey'];
  const memberId = agentId === null ? null : parseId('Agent', agentId, agentPath);
  const { id: scenarioId, key, isActive, member } = await findScenarioMember(viewer.tenantId, db, name, memberId);
  // A conversation that is already in the scenario may stay in it.
  if ('key' in name && !isActive) throw badInput(scenarioPath, 'names a scenario that is not active');
  if (memberId !== null && member === null) {
    // Another user's agent is FORBIDDEN and an unknown one NOT_FOUND, in a scenario or not.
    await requireUsableAgent(viewer, db, formatId('Agent', memberId), agentPath);
    throw badInput(agentPath, `names an agent that is not in the scenario ${JSON.stringify(key)}`);
  }
  if (member?.isUsable !== true) {
    throw memberId === null
      ? badInput(scenarioPath, 'names a scenario whose root agent is not active')
      : badInput(agentPath, 'names an agent that is not active');
  }
  return { scenarioId, activeAgentId: member.agentId, followsDefault: false };
}
