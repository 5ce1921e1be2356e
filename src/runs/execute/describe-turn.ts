import { formatId } from '../../api/ids.ts';
import type { ObservedTurn } from '../../telemetry/turns/turn.ts';
import type { LaunchRequest } from '../runtime.ts';

/** A run that this process begins to carry out, as it is measured and traced. */
export function describeTurn({ run, stored, turn, resumed, isTakeover }: LaunchRequest): ObservedTurn {
  return {
    start: isTakeover ? 'takeover' : resumed ? 'approval' : turn ? 'new' : 'queue',
    runId: formatId('Run', run.id),
    conversationId: formatId('Conversation', run.conversationId),
    tenantId: run.tenantId,
    trace: stored.trace,
  };
}
