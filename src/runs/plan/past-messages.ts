import type { Db } from '../../database/client.ts';
import type { Message, Run } from '../../generated/prisma/client.ts';

/** No more messages than this are read, however short they are. */
const maxMessages = 400;

/** A message of the past of a run, with the run that it belongs to. */
export interface PastMessageRow extends Pick<Message, 'id' | 'role' | 'content' | 'step' | 'attachments'> {
  /** The run that the message began or that wrote it; null: none. */
  readonly runId: string | null;
  /** Whether it began that run. */
  readonly startedRun: boolean;
}

/**
 * Reads the messages before a run and its own, newest first, as long as they and their tool calls have no more than
 * `maxBytes` together. The sizes are added up without reading the contents, so that a long conversation costs no more than
 * what the model is given of it. The messages of the run itself are always read. Messages of turns that still wait in the
 * queue are not part of the past, nor those that a guardrail has blocked, nor turns that it has stopped. One statement.
 */
export function readPastMessages(
  db: Db,
  { tenantId, conversationId, id, number }: Pick<Run, 'tenantId' | 'conversationId' | 'id' | 'number'>,
  maxBytes: number,
): Promise<PastMessageRow[]> {
  return db.$queryRaw<PastMessageRow[]>`
    WITH past AS (
      SELECT m.id, m.position, coalesce(started.id, wrote.id) AS run_id, started.id IS NOT NULL AS started_run,
        octet_length(m.content) + octet_length(m.attachments::text) + coalesce(CASE
          WHEN started.id IS NOT NULL THEN (SELECT sum(t.bytes) FROM tool_calls AS t WHERE t.run_id = started.id)
          WHEN m.role = 'ASSISTANT' AND m.step IS NULL THEN
            (SELECT sum(t.bytes) FROM tool_calls AS t WHERE t.message_id = m.id AND t.run_id IS NULL)
        END, 0) AS bytes
      FROM messages AS m
      LEFT JOIN runs AS started ON started.conversation_id = m.conversation_id AND started.user_message_id = m.id
        AND started.is_current
      LEFT JOIN runs AS wrote ON wrote.id = m.run_id
      WHERE m.tenant_id = ${tenantId} AND m.conversation_id = ${conversationId}::uuid
        AND m.position IS NOT NULL AND m.status <> 'BLOCKED' AND started.error_code IS DISTINCT FROM 'GUARDRAIL_TRIPPED'
        AND wrote.error_code IS DISTINCT FROM 'GUARDRAIL_TRIPPED' AND coalesce(started.number, wrote.number, 0) <= ${number}
      ORDER BY m.position DESC LIMIT ${maxMessages}
    ), summed AS (
      SELECT id, run_id, started_run, sum(bytes) OVER (ORDER BY position DESC) AS total FROM past
    )
    SELECT m.id, m.role, m.content, m.step, m.attachments, summed.run_id AS "runId", summed.started_run AS "startedRun"
    FROM summed JOIN messages AS m ON m.id = summed.id
    WHERE summed.total <= ${maxBytes} OR summed.run_id = ${id}::uuid
    ORDER BY m.position DESC`;
}
