import { z } from 'zod';
import { requireUsableAgents } from '../agents/require.ts';
import { decimal, type InputPath, list, parseInput, text } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';

/** A RoutingDecision as messages and runs store it. Agents are row ids. */
export const storedRoutingDecision = z.object({
  rootAgentId: z.string().nullable(),
  selectedAgentIds: z.array(z.string()),
  selectedTools: z.array(z.string()),
  confidence: z.number(),
  reasoning: z.string(),
  alternatives: z.array(z.string()),
});
export type StoredRoutingDecision = z.output<typeof storedRoutingDecision>;

/** The routing decision of a CreateMessageInput: the fields of RoutingDecision, with public ids of agents. */
const routingDecisionInput = z.strictObject({
  rootAgent: z.string({ error: 'must be the id of an agent' }).nullish(),
  selectedAgents: list(z.string({ error: 'must be the id of an agent' }), 100).default([]),
  selectedTools: list(text(1, 255), 100).default([]),
  confidence: decimal(0, 1),
  reasoning: text(0, 10_000),
  alternatives: list(text(1, 1_000), 100).default([]),
});

/**
 * Checks the routing decision of an input, and that the viewer may use its agents.
 * @param path of the value in the arguments, for errors
 * @throws {BadUserInputError} naming the field
 * @throws {NotFoundError | ForbiddenError} for its agents
 */
export async function parseRoutingDecision(
  viewer: Viewer,
  db: Db,
  value: unknown,
  path: InputPath,
): Promise<StoredRoutingDecision> {
  const parsed = parseInput(routingDecisionInput, value, path);
  const root = typeof parsed.rootAgent === 'string' ? [parsed.rootAgent] : [];
  const [rootAgentId = null] = await requireUsableAgents(viewer, db, root, () => [...path, 'rootAgent']);
  const selectedAgentIds = await requireUsableAgents(viewer, db, parsed.selectedAgents, (index) => [
    ...path,
    'selectedAgents',
    index,
  ]);
  const { selectedTools, confidence, reasoning, alternatives } = parsed;
  return { rootAgentId, selectedAgentIds, selectedTools, confidence, reasoning, alternatives };
}
