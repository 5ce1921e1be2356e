import type { Prisma, Run } from '../../generated/prisma/client.ts';
import { saveArchive } from '../archive.ts';
import type { RunEnd } from '../run-end.ts';
import type { RunRuntime, UnsavedText } from '../runtime.ts';
import { unfinishedStatuses } from '../statuses.ts';
import { cancelUnfinishedRows } from './cancel-unfinished-rows.ts';
import { endedColumns } from './ended-columns.ts';
import { ownedRow } from './lease.ts';
import { lockAndTouchConversation } from './lock-conversation.ts';
import { promoteNext } from './promote-next.ts';

/** What is written when this process ends a run. */
export interface EndRows {
  readonly run: Run;
  readonly agentId: string | null;
  readonly end: RunEnd;
  /** All events of the run with the terminal one, packed, and the seq of the terminal one. */
  readonly archive: string;
  readonly lastSeq: number;
  /** Whether rows may still be open that the engine has closed. */
  readonly incomplete: boolean;
  readonly unsaved: UnsavedText | null;
}

/** What became of the end. */
export interface EndedRun {
  /** Whether this transaction ended the run; otherwise another process has ended it or continues it. */
  readonly written: boolean;
  /** Whether the run goes on without this process, because it waits for a person or has continued since. */
  readonly unfinished: boolean;
  /** The next run of the queue, now RUNNING here. */
  readonly next: Run | null;
}

/** RUNNING to its end: the row, the archive, what is open, and the start of the next run in the queue. */
export async function endRun(tx: Prisma.TransactionClient, runtime: RunRuntime, rows: EndRows): Promise<EndedRun> {
  const { run, agentId, end, archive, lastSeq, incomplete, unsaved } = rows;
  await lockAndTouchConversation(tx, run.conversationId);
  const { count } = await tx.run.updateMany({
    where: ownedRow(runtime, run),
    data: { ...endedColumns(end, lastSeq), agentId },
  });
  if (count > 0) {
    await saveArchive(tx, run.id, archive);
    if (incomplete) await cancelUnfinishedRows(tx, run.id, { unsaved });
    return { written: true, unfinished: false, next: await promoteNext(tx, runtime, run.conversationId) };
  }
  const unfinished = (await tx.run.count({ where: { id: run.id, status: { in: [...unfinishedStatuses] } } })) > 0;
  // If another process has ended it, this one may have begun something since. If it goes on, its rows belong to others.
  if (!unfinished) await cancelUnfinishedRows(tx, run.id);
  return { written: false, unfinished, next: null };
}
