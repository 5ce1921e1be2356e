import type { RunStatus } from '../generated/graphql.ts';
import { Badge } from '../parts/states.tsx';

const outcomes = {
  QUEUED: ['plain', 'waiting'],
  RUNNING: ['warn', 'running'],
  REQUIRES_ACTION: ['warn', 'waits for approval'],
  COMPLETED: ['good', 'completed'],
  FAILED: ['bad', 'failed'],
  CANCELLED: ['plain', 'cancelled'],
} as const satisfies Record<RunStatus, unknown>;

/** What a list can be filtered by, with its words. */
export const outcomeChoices = (
  ['COMPLETED', 'FAILED', 'CANCELLED', 'REQUIRES_ACTION', 'RUNNING', 'QUEUED'] as const
).map((status) => [status, outcomes[status][1]] as const);

/** How a run ended, or what it is doing. */
export function Outcome({ status }: { readonly status: RunStatus }) {
  const [tone, word] = outcomes[status];
  return <Badge tone={tone}>{word}</Badge>;
}
