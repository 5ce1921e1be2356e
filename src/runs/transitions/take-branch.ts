import { ConflictError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import type { Prisma } from '../../generated/prisma/client.ts';
import type { TurnBranch } from '../input.ts';

/** A message has at most so many branches, itself included. */
const maxBranches = 100;

/**
 * Makes the branch that ends in a message the active one: its messages take positions, those of the branch that was active
 * give theirs up from where the two part. The list of the active branch is what has positions, so that nothing that reads it
 * has to know of branches. The active agent becomes the one of the branch, unless a person has chosen another one since the
 * last turn. Two statements, however long the branches are; nothing changes if it is active already. The caller holds the lock
 * on the conversation's row.
 * @param leafId the row id of the last message of the branch; null: the branch is empty
 */
export async function takeBranch(
  tx: Prisma.TransactionClient,
  conversationId: string,
  leafId: string | null,
): Promise<void> {
  const changed = await tx.$executeRaw`
    WITH RECURSIVE path AS (
      SELECT id, parent_id, position, 1 AS height FROM messages
      WHERE conversation_id = ${conversationId}::uuid AND id = ${leafId}::uuid
      UNION ALL
      SELECT m.id, m.parent_id, m.position, path.height + 1
      FROM path JOIN messages AS m ON m.conversation_id = ${conversationId}::uuid AND m.id = path.parent_id
      WHERE path.position IS NULL
    ), fork AS (
      SELECT coalesce(max(position), 0) AS place, count(*) FILTER (WHERE position IS NULL) AS tail FROM path
    ), agents AS (
      SELECT agent_of_branch(c.id, (
        SELECT id FROM messages WHERE conversation_id = c.id AND position = c.message_count
      )) AS here, agent_of_branch(c.id, ${leafId}::uuid) AS there
      FROM conversations AS c WHERE c.id = ${conversationId}::uuid
    ), gone AS (
      UPDATE messages SET position = NULL, is_active = false FROM fork
      WHERE conversation_id = ${conversationId}::uuid AND position > fork.place
      RETURNING id
    ), come AS (
      UPDATE messages SET position = fork.place + fork.tail - path.height + 1, is_active = true FROM path, fork
      -- Positions are unique at every moment: the others give theirs up first.
      WHERE messages.id = path.id AND path.position IS NULL AND (SELECT count(*) FROM gone) >= 0
      RETURNING messages.id
    )
    UPDATE conversations SET message_count = fork.place + fork.tail, branch_changes = branch_changes + 1,
      updated_at = greatest(updated_at, clock_timestamp()),
      active_agent_id = CASE WHEN active_agent_id IS NOT DISTINCT FROM agents.here THEN coalesce(agents.there, active_agent_id)
        ELSE active_agent_id END
    FROM fork, agents
    WHERE id = ${conversationId}::uuid AND (SELECT count(*) FROM gone) + (SELECT count(*) FROM come) > 0`;
  if (changed > 0) await chooseCurrentRuns(tx, conversationId);
}

/** Of several runs of one user message, the current one is the one that wrote what follows it in the active branch. */
async function chooseCurrentRuns(tx: Prisma.TransactionClient, conversationId: string): Promise<void> {
  await tx.$executeRaw`
    UPDATE runs SET is_current = (runs.id = answer.run_id)
    FROM messages AS asked
    JOIN messages AS answer ON answer.conversation_id = asked.conversation_id AND answer.position = asked.position + 1
    JOIN runs AS wrote ON wrote.id = answer.run_id AND wrote.user_message_id = asked.id
    WHERE runs.conversation_id = ${conversationId}::uuid AND asked.conversation_id = ${conversationId}::uuid
      AND asked.position IS NOT NULL AND runs.user_message_id = asked.id
      AND runs.is_current <> (runs.id = answer.run_id)
      -- Nearly no message has several runs.
      AND EXISTS (
        SELECT 1 FROM runs AS other
        WHERE other.conversation_id = ${conversationId}::uuid AND other.user_message_id = asked.id AND other.id <> runs.id
      )`;
}

/** The message that the branch of a turn begins after; null: it begins the conversation. */
export async function findBranchParent(
  tx: Prisma.TransactionClient,
  { kind, messageId }: TurnBranch,
): Promise<string | null> {
  if (kind === 'REGENERATE') return messageId;
  const edited = await tx.message.findUniqueOrThrow({ where: { id: messageId }, select: { parentId: true } });
  return edited.parentId;
}

/**
 * Makes the branch of a turn the active one, up to where the turn adds to it. The caller holds the lock on the conversation's
 * row, and adds the user message, or the run of an answer that is made again.
 */
export async function beginBranch(
  tx: Prisma.TransactionClient,
  conversationId: string,
  branch: TurnBranch,
): Promise<void> {
  await takeBranch(tx, conversationId, await findBranchParent(tx, branch));
  if (branch.kind === 'EDIT') return;
  await tx.run.updateMany({
    where: { conversationId, userMessageId: branch.messageId, isCurrent: true },
    data: { isCurrent: false },
  });
}

/**
 * Checks that one more branch may begin. Runs count as well: one that has written nothing is no branch yet. One statement.
 * @throws {ConflictError} if the message has too many
 */
export async function assertMayBranch(
  tx: Prisma.TransactionClient,
  conversationId: string,
  { kind, messageId }: TurnBranch,
): Promise<void> {
  const isEdit = kind === 'EDIT';
  const [row] = await tx.$queryRaw<{ count: number }[]>`
    SELECT CASE WHEN ${isEdit} THEN (
      SELECT count(*) FROM messages WHERE conversation_id = m.conversation_id AND parent_id = m.parent_id
    ) + (
      SELECT count(*) FROM messages
      WHERE conversation_id = m.conversation_id AND m.parent_id IS NULL AND parent_id IS NULL AND number IS NOT NULL
    ) ELSE greatest((
      SELECT count(*) FROM messages WHERE conversation_id = m.conversation_id AND parent_id = m.id
    ), (
      SELECT count(*) FROM runs WHERE conversation_id = m.conversation_id AND user_message_id = m.id
    )) END::int AS count
    FROM messages AS m WHERE m.conversation_id = ${conversationId}::uuid AND m.id = ${messageId}::uuid`;
  if ((row?.count ?? 0) < maxBranches) return;
  const of = isEdit ? formatId('Message', messageId) : `The answer to ${formatId('Message', messageId)}`;
  throw new ConflictError(`${of} has ${maxBranches} branches. It can have no more.`);
}
