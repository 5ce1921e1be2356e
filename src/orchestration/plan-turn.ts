import type { AgentDependencies } from '../agents/dependencies.ts';
import { type ResolvedAgent, resolveAgents } from '../agents/resolve.ts';
import type { Viewer } from '../auth/viewer.ts';
import { findClassifierId, type PlannedOrchestration, planClassifier } from './planned.ts';

/** What of it is stored with a turn: the provider of the classifier is looked up again. */
export type FrozenOrchestration = Omit<PlannedOrchestration, 'classifier'>;

/**
 * Adds the classifier to the orchestration of a turn; from the cache, one statement if it is not cached.
 * @param members agents that are resolved already
 * @returns also the classifier as it was resolved; null: there is none
 */
export async function planOrchestration(
  viewer: Viewer,
  deps: AgentDependencies,
  frozen: FrozenOrchestration,
  members: ReadonlyMap<string, ResolvedAgent>,
): Promise<{ readonly planned: PlannedOrchestration; readonly resolved: ResolvedAgent | null }> {
  const id = findClassifierId(frozen.config, frozen.rootAgentId);
  const known = id === null ? undefined : members.get(id);
  const resolved = known ?? (id === null ? undefined : (await resolveAgents(viewer, deps, [id])).get(id)) ?? null;
  return { planned: { ...frozen, classifier: planClassifier(frozen.config, resolved ?? undefined) }, resolved };
}
