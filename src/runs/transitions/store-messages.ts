import type { Run } from '../../generated/prisma/client.ts';
import type { RunRuntime, UnstoredText } from '../runtime.ts';
import { againIfOutdated } from './lease.ts';

/** A message that has no row yet, with its run. */
interface UnstoredMessage extends UnstoredText {
  readonly run: Run;
}

/**
 * Stores the messages that the runs of this process are writing, in one statement for all of them. Short turns never need
 * it: their message is written where it is finished (step-parts.ts).
 *
 * A conversation or run that somebody else has locked is passed over: a statement that locks several rows and waits can
 * stand in a deadlock with others, such as the renewal of leases. The next round stores it. The rows are written in the order
 * of their users, whose feeds are locked in that order at the commit.
 * @returns the ids of the messages that were stored
 */
export async function storeMessages(
  { db, instanceId }: RunRuntime,
  messages: readonly UnstoredMessage[],
): Promise<ReadonlySet<string>> {
  const rows = await againIfOutdated(
    () => db.$queryRaw<{ id: string }[]>`
    WITH wanted AS (
      SELECT * FROM unnest(
        ${messages.map(({ messageId }) => messageId)}::uuid[], ${messages.map(({ run }) => run.id)}::uuid[],
        ${messages.map(({ run }) => run.leaseEpoch)}::int[], ${messages.map(({ run }) => run.conversationId)}::uuid[],
        ${messages.map(({ agentId }) => agentId)}::uuid[], ${messages.map(({ step }) => step)}::int[],
        ${messages.map(({ content }) => content)}::text[]
      ) AS wanted (id, run_id, epoch, conversation_id, agent_id, step, content)
    ), conversation AS (
      SELECT id FROM conversations WHERE id IN (SELECT conversation_id FROM wanted)
      FOR NO KEY UPDATE SKIP LOCKED
    ), owned AS (
      SELECT runs.id, runs.tenant_id, runs.user_id, runs.conversation_id FROM runs
      JOIN conversation ON conversation.id = runs.conversation_id
      JOIN wanted ON wanted.run_id = runs.id
      WHERE runs.lease_owner = ${instanceId} AND runs.lease_epoch = wanted.epoch AND runs.status = 'RUNNING'
      FOR NO KEY UPDATE OF runs SKIP LOCKED
    ), place AS (
      UPDATE conversations SET message_count = message_count + 1, updated_at = greatest(updated_at, clock_timestamp())
      FROM owned JOIN wanted ON wanted.run_id = owned.id
      WHERE conversations.id = owned.conversation_id AND NOT EXISTS (SELECT 1 FROM messages WHERE id = wanted.id)
      RETURNING owned.id AS run_id, message_count
    ), stored AS (
      INSERT INTO messages (id, tenant_id, conversation_id, position, role, status, content, agent_id, run_id, step)
      SELECT wanted.id, owned.tenant_id, owned.conversation_id, place.message_count, 'ASSISTANT', 'STREAMING',
        wanted.content, wanted.agent_id, owned.id, wanted.step
      FROM place JOIN owned ON owned.id = place.run_id JOIN wanted ON wanted.run_id = owned.id
      ORDER BY owned.tenant_id, owned.user_id
      RETURNING id
    )
    SELECT id::text FROM stored`,
  );
  return new Set(rows.map(({ id }) => id));
}
