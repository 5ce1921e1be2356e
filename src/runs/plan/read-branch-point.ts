import { ConflictError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import { badInput } from '../../api/input.ts';
import { notFoundOrForbidden } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { type Attachment, storedAttachments } from '../../conversations/attachment.ts';
import type { Database } from '../../database/client.ts';
import type { Conversation, MessageRole, MessageStatus, Prisma } from '../../generated/prisma/client.ts';
import type { StoredTurn, TurnBranch, TurnInput } from '../input.ts';

/** Where the branch of a turn begins. */
interface BranchPoint {
  readonly branch: TurnBranch;
  /** The row id of the agent that was the active one there; null: nobody knows. */
  readonly activeAgentId: string | null;
  /** The user message that is answered again; null: the turn writes one. */
  readonly answered: { readonly content: string; readonly attachments: readonly Attachment[] } | null;
}

interface Row {
  readonly tenantId: string;
  readonly userId: string;
  readonly conversationId: string;
  readonly role: MessageRole;
  readonly isQueued: boolean;
  /** Whether it joined a run that was under way. */
  readonly isSteered: boolean;
  readonly activeAgentId: string | null;
  /** The user message: the named one, or the one that it answers. Null: it answers none. */
  readonly answeredId: string | null;
  readonly answeredStatus: MessageStatus | null;
  readonly content: string | null;
  readonly attachments: Prisma.JsonValue;
}

/**
 * Reads where the branch of a turn begins, for a conversation of the viewer. One statement. The agent is the one that was active
 * there, unless a person has chosen another one since the last turn: that choice stays.
 * @throws {NotFoundError}, {@link ForbiddenError} for the message; {@link BadUserInputError} if it is in another conversation, is
 *   not a message of the user (or an answer to one) or is blocked; {@link ConflictError} if it waits in the queue
 */
async function readBranchPoint(
  viewer: Viewer,
  db: Pick<Database, '$queryRaw'>,
  conversationId: string,
  { kind, messageId }: TurnBranch,
): Promise<BranchPoint> {
  const isEdit = kind === 'EDIT';
  const [row] = await db.$queryRaw<Row[]>`
    SELECT c.tenant_id AS "tenantId", c.user_id AS "userId", c.id::text AS "conversationId", m.role::text,
      m.number IS NULL AS "isQueued", m.role = 'USER' AND m.step IS NOT NULL AS "isSteered", answered.id::text AS "answeredId", answered.status::text AS "answeredStatus",
      answered.content, answered.attachments, CASE
        WHEN c.active_agent_id IS DISTINCT FROM agent_of_branch(c.id, (
          SELECT id FROM messages WHERE conversation_id = c.id AND position = c.message_count
        )) THEN c.active_agent_id
        ELSE agent_of_branch(c.id, CASE WHEN ${isEdit} THEN m.parent_id ELSE answered.id END)
      END::text AS "activeAgentId"
    FROM messages AS m JOIN conversations AS c ON c.id = m.conversation_id
    LEFT JOIN runs AS r ON r.id = m.run_id
    LEFT JOIN messages AS answered ON answered.conversation_id = m.conversation_id AND answered.role = 'USER'
      AND answered.id = CASE WHEN m.role = 'USER' THEN m.id ELSE coalesce(r.user_message_id, m.parent_id) END
    WHERE m.id = ${messageId}::uuid`;
  const name = formatId('Message', messageId);
  if (row === undefined || row.tenantId !== viewer.tenantId || row.userId !== viewer.userId)
    throw notFoundOrForbidden(viewer, `message ${name}`, row ?? null);
  const path = ['input', isEdit ? 'editMessageId' : 'regenerateMessageId'];
  if (row.conversationId !== conversationId) throw badInput(path, 'is a message of another conversation');
  if (isEdit ? row.role !== 'USER' : row.answeredId === null)
    throw badInput(path, isEdit ? 'must be a message of the user' : 'must be an answer, or a message of the user');
  // The run goes on from it: what came before it in its turn would be cut in two.
  if (row.isSteered)
    throw badInput(path, 'must not be a message that joined a run: name the message with which its turn began');
  if (row.isQueued) throw new ConflictError(`The message ${name} waits in the queue.`);
  const { activeAgentId } = row;
  if (isEdit) return { branch: { kind, messageId }, activeAgentId, answered: null };
  if (row.answeredStatus === 'BLOCKED') throw badInput(path, 'must not be a message that a guardrail has blocked');
  const attachments = storedAttachments.parse(row.attachments);
  return {
    branch: { kind, messageId: row.answeredId ?? messageId },
    activeAgentId,
    answered: { content: row.content ?? '', attachments },
  };
}

/**
 * A turn as it begins in its branch, with the active agent there; of an answer that is made again, with the text of the user that
 * it answers. A turn that goes on with the active branch stays as it is, without a statement.
 * @throws as {@link readBranchPoint} does
 */
export async function beginAtBranch(
  viewer: Viewer,
  db: Pick<Database, '$queryRaw'>,
  { id, activeAgentId }: Pick<Conversation, 'id' | 'activeAgentId'>,
  { input, stored }: { readonly input: TurnInput; readonly stored: StoredTurn },
) {
  if (input.branch === null) return { input, stored, activeAgentId };
  const { branch, answered, activeAgentId: there } = await readBranchPoint(viewer, db, id, input.branch);
  return { input: { ...input, ...answered, branch }, stored: { ...stored, branch }, activeAgentId: there };
}
