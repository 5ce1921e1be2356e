import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { Agent } from '../generated/prisma/client.ts';
import { readProjectsById } from '../projects/read.ts';

/** Whether an agent belongs to another user alone. Admins see its name on the answers that they read feedback on. */
export function isOfAnotherUser({ userId }: Viewer, { ownerId }: Pick<Agent, 'ownerId'>): boolean {
  return ownerId !== null && ownerId !== userId;
}

/**
 * Hides what agents of other users and of other projects are: of a project that a user has left, old messages still name the
 * agents that wrote them. No statement if none belongs to a project, else one.
 * @returns in the order of the agents: as they are, or with their names alone
 */
export async function hideForeign(viewer: Viewer, db: Db, agents: readonly Agent[]): Promise<Agent[]> {
  const projectIds = [...new Set(agents.flatMap(({ projectId }) => projectId ?? []))];
  const projects = projectIds.length === 0 ? [] : await readProjectsById(viewer, db, projectIds);
  const readable = new Set(projects.flatMap((project) => project?.id ?? []));
  return agents.map((agent) => {
    const isReadable = agent.projectId === null || readable.has(agent.projectId);
    if (isReadable && !isOfAnotherUser(viewer, agent)) return agent;
    const nothing = { description: null, instructions: '', llm: null, tts: null, stt: null, outputSchema: null };
    return { ...agent, ...nothing, toolNames: [], guardrails: [], isActive: false };
  });
}
