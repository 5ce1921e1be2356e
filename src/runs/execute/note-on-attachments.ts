import { formatId } from '../../api/ids.ts';
import { Prisma, type Run } from '../../generated/prisma/client.ts';
import { LeaseLost } from '../lease.ts';
import type { RunRuntime } from '../runtime.ts';
import { lockOwned, writeOwned } from '../transitions/lease.ts';

/**
 * Tells the user what the model was not given of the attachments of the message that began a run, and of those that joined it. A second time it changes
 * nothing.
 * @param notices by the row ids of the files; those of other messages are left out
 */
export async function noteOnAttachments(
  runtime: RunRuntime,
  run: Run,
  notices: ReadonlyMap<string, string>,
): Promise<void> {
  const byId = JSON.stringify(
    Object.fromEntries([...notices].map(([id, notice]) => [formatId('Attachment', id), notice])),
  );
  const writing = writeOwned(
    runtime.db,
    run,
    Prisma.sql`${lockOwned(runtime, run)}, noted AS (
      UPDATE messages SET attachments = (
        SELECT jsonb_agg(CASE WHEN ${byId}::jsonb->>coalesce(entry->>'id', entry->>'fileId') IS NOT NULL
            THEN entry || jsonb_build_object('notice', ${byId}::jsonb->coalesce(entry->>'id', entry->>'fileId')) ELSE entry END ORDER BY place)
        FROM jsonb_array_elements(attachments) WITH ORDINALITY AS entries (entry, place))
      WHERE (id = ${run.userMessageId}::uuid OR (run_id = ${run.id}::uuid AND role = 'USER')) AND conversation_id = (SELECT conversation_id FROM owned)
        AND jsonb_array_length(attachments) > 0
    )`,
  );
  // A turn goes on without its notices.
  await writing.catch((error: unknown) => {
    if (error instanceof LeaseLost) throw error;
    runtime.logger.error({ err: error, runId: run.id }, 'could not note what a model was not given');
  });
}
