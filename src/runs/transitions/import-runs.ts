import { Prisma, type Run } from '../../generated/prisma/client.ts';
import type { StoredTurn } from '../input.ts';

/** Rows that one statement writes. */
const batch = 200;

/** A run of another installation, or of another conversation, that has ended. Ids are row ids. */
export interface ImportedRun
  extends Pick<
    Run,
    | 'id'
    | 'userMessageId'
    | 'isCurrent'
    | 'agentId'
    | 'errorCode'
    | 'errorMessage'
    | 'errorRetryable'
    | 'createdAt'
    | 'startedAt'
    | 'finishedAt'
  > {
  readonly status: 'COMPLETED' | 'FAILED' | 'CANCELLED';
  readonly routingDecision: Prisma.InputJsonObject | null;
}

/** What a run that has ended before it was stored keeps of its input: nothing starts it again. */
const input = {
  agentId: null,
  onDisconnect: 'CONTINUE',
  model: null,
  temperature: null,
  maxTokens: null,
  roles: [],
} satisfies StoredTurn;

/** Stores runs that have ended, for a conversation that is made in the same transaction. Their numbers are their order. */
export async function importRuns(
  tx: Prisma.TransactionClient,
  owner: { readonly tenantId: string; readonly userId: string; readonly conversationId: string },
  runs: readonly ImportedRun[],
): Promise<void> {
  for (let at = 0; at < runs.length; at += batch) {
    await tx.run.createMany({
      data: runs.slice(at, at + batch).map((run, index) => ({
        ...run,
        ...owner,
        number: at + index + 1,
        routingDecision: run.routingDecision ?? Prisma.DbNull,
        finishedAt: run.finishedAt ?? run.createdAt,
        input,
        // Unique, and whoever sends it with a turn of theirs gets CONFLICT: no payload has this hash.
        idempotencyKey: `import:${run.id}`,
        payloadHash: '',
      })),
    });
  }
}
