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

/** How a run ended, or what it is doing. */
export function Outcome({ status }: { readonly status: RunStatus }) {
  const [tone, word] = outcomes[status];
  return <Badge tone={tone}>{word}</Badge>;
}
