import { z } from 'zod';
import { decimal, type InputPath, list, parseInput, text } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { requireUsableAgents } from './choose-agent.ts';

/** A RoutingDecision as messages and runs store it: agents are row ids. */
export const storedRoutingDecision = z.object({
  rootAgentId: z.string().nullable(),
  selectedAgentIds: z.array(z.string()),
  selectedTools: z.array(z.string()),
  confidence: z.number(),
  reasoning: z.string(),
  alternatives: z.array(z.string()),
});
export type StoredRoutingDecision = z.output<typeof storedRoutingDecision>;

/** What createMessage takes: the fields of RoutingDecision, with public ids in the place of agents. */
const routingDecisionInput = z.strictObject({
  rootAgent: z.string({ error: 'must be the id of an agent' }).nullish(),
  selectedAgents: list(z.string({ error: 'must be the id of an agent' }), 100).default([]),
  selectedTools: list(text(1, 255), 100).default([]),
  confidence: decimal(0, 1),
  reasoning: text(0, 10_000),
  alternatives: list(text(1, 1_000), 100).default([]),
});

/**
 * Checks a routing decision that a client wrote, and that its agents are the viewer's to use.
 * @param path where the value stood
 * @throws {BadUserInputError} naming the field
 * @throws {NotFoundError | ForbiddenError} for its agents
 */
export async function parseRoutingDecision(
  viewer: Viewer,
  db: Db,
  value: unknown,
  path: InputPath,
): Promise<StoredRoutingDecision> {
  const given = parseInput(routingDecisionInput, value, path);
  const root = typeof given.rootAgent === 'string' ? [given.rootAgent] : [];
  const [rootAgentId = null] = await requireUsableAgents(viewer, db, root, () => [...path, 'rootAgent']);
  const selectedAgentIds = await requireUsableAgents(viewer, db, given.selectedAgents, (index) => [
    ...path,
    'selectedAgents',
    index,
  ]);
  const { selectedTools, confidence, reasoning, alternatives } = given;
  return { rootAgentId, selectedAgentIds, selectedTools, confidence, reasoning, alternatives };
}
