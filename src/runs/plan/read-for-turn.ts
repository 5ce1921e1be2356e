import { z } from 'zod';
import { conversationColumns } from '../../conversations/columns.ts';
import type { Database } from '../../database/client.ts';
import type { Conversation } from '../../generated/prisma/client.ts';
import type { TurnInput } from '../input.ts';
import type { ConversationForTurn } from './plan-turn.ts';

/** What the statement builds of other tables. */
const related = z.object({
  settings: z
    .object({
      model: z.string().nullable(),
      temperature: z.number(),
      maxTokens: z.int(),
      enabledTools: z.array(z.string()),
      enabledAgents: z.array(z.object({ agentId: z.string() })),
    })
    .nullable(),
  runs: z.array(z.object({ id: z.string(), idempotencyKey: z.string() })),
});

/** A conversation with what a new turn of it is compiled from, and the runs that are in its way. */
export interface ConversationToStart extends Conversation, ConversationForTurn {
  /** The run that the key of the turn has started, or that its message has joined, and the unfinished ones; the oldest first. */
  readonly runs: z.output<typeof related>['runs'];
}

/**
 * Reads a conversation, whoever owns it, with all that starting a turn depends on. One statement: the first token waits
 * for it.
 * @param maxRuns how many runs are read at most
 * @returns null if it does not exist
 */
export async function readForTurn(
  db: Pick<Database, '$queryRaw'>,
  { conversationId, idempotencyKey }: Pick<TurnInput, 'conversationId' | 'idempotencyKey'>,
  maxRuns: number,
): Promise<ConversationToStart | null> {
  const [row] = await db.$queryRaw<Conversation[]>`
    SELECT ${conversationColumns}, (
      SELECT json_build_object('model', s.model, 'temperature', s.temperature, 'maxTokens', s.max_tokens,
        'enabledTools', coalesce(s.enabled_tools, '{}'), 'enabledAgents', coalesce((
          SELECT json_agg(json_build_object('agentId', a.agent_id)) FROM chat_settings_agents AS a
          WHERE a.tenant_id = s.tenant_id AND a.settings_id = s.id
        ), '[]'))
      FROM chat_settings AS s WHERE s.tenant_id = c.tenant_id AND s.user_id = c.user_id
    ) AS settings, coalesce((
      SELECT json_agg(json_build_object('id', r.id, 'idempotencyKey', r.idempotency_key) ORDER BY r.number) FROM (
        SELECT id, CASE WHEN id = joined.run_id THEN ${idempotencyKey} ELSE idempotency_key END AS idempotency_key, number
        FROM runs LEFT JOIN (
          SELECT run_id FROM steered_messages
          WHERE tenant_id = c.tenant_id AND conversation_id = c.id AND idempotency_key = ${idempotencyKey}
        ) AS joined ON joined.run_id = runs.id
        WHERE conversation_id = c.id AND (idempotency_key = ${idempotencyKey} OR joined.run_id IS NOT NULL
          OR status IN ('QUEUED', 'RUNNING', 'REQUIRES_ACTION'))
        ORDER BY number LIMIT ${maxRuns}
      ) AS r
    ), '[]') AS runs
    FROM conversations AS c WHERE c.id = ${conversationId}::uuid`;
  if (row === undefined) return null;
  const { settings, runs } = related.parse(row);
  return { ...row, user: { settings }, runs };
}
