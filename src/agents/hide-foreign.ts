import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { Agent } from '../generated/prisma/client.ts';
import { readProjectsById } from '../projects/read.ts';

/**
 * Hides what agents of other projects are: of a project that a user has left, old messages still name the agents that wrote
 * them. No statement if none belongs to a project, else one.
 * @returns in the order of the agents: as they are, or with their names alone
 */
export async function hideForeign(viewer: Viewer, db: Db, agents: readonly Agent[]): Promise<Agent[]> {
  const projectIds = [...new Set(agents.flatMap(({ projectId }) => projectId ?? []))];
  if (projectIds.length === 0) return [...agents];
  const projects = await readProjectsById(viewer, db, projectIds);
  const readable = new Set(projects.flatMap((project) => project?.id ?? []));
  return agents.map((agent) => {
    if (agent.projectId === null || readable.has(agent.projectId)) return agent;
    const nothing = { description: null, instructions: '', llm: null, tts: null, stt: null };
    return { ...agent, ...nothing, toolNames: [], guardrails: [], isActive: false };
  });
}
