import type { Viewer } from '../../auth/viewer.ts';
import type { PlannedAgent } from '../../engine/plan.ts';
import type { Tool } from '../../tools/contract/tool.ts';
import type { RunRuntime } from '../runtime.ts';

/** Whether models are offered a tool: those of memories only where the operator has switched these on. */
export function isOffered({ tenantId }: Viewer, { memory }: RunRuntime, { name, problem }: Tool): boolean {
  return problem === null && (!memory.toolNames.has(name) || memory.isOn(tenantId));
}

/**
 * Gives what is remembered of the viewer to the agents of a turn that have a tool of memories. One statement; none if no agent
 * has one, or memories are switched off for the tenant.
 * @param agents of the turn; those that are given something are replaced
 * @param projectId the row id of the project of the conversation; null: it is in none
 */
export async function tellAgentsOfMemories(
  viewer: Viewer,
  { memory, db }: RunRuntime,
  agents: Map<string, PlannedAgent>,
  projectId: string | null,
): Promise<void> {
  const remembering = [...agents.values()].filter(({ tools }) => tools.some(({ name }) => memory.toolNames.has(name)));
  if (remembering.length === 0 || !memory.isOn(viewer.tenantId)) return;
  const memories = await memory.tell(viewer, db, projectId);
  if (memories === undefined) return;
  for (const agent of remembering) agents.set(agent.id, { ...agent, memories });
}
