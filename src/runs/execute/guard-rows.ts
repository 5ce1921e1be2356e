import { makeTitle } from '../../conversations/text.ts';
import type { TurnEvent } from '../../engine/events.ts';
import { Prisma, type Run } from '../../generated/prisma/client.ts';
import { patternPlaceholder } from '../../guardrails/patterns.ts';
import { maxGuardResults } from '../guard-result.ts';
import type { RunRuntime } from '../runtime.ts';
import { lockOwned, lockOwnedWithConversation, writeOwned } from '../transitions/lease.ts';

/** How many results this process has stored of each run. */
const counts = new WeakMap<Run, number>();

/** Stores the result of a guardrail, of the first thousand of a run. A second time it changes nothing. */
export async function insertGuardResult(
  runtime: RunRuntime,
  run: Run,
  { result, step }: Extract<TurnEvent, { type: 'guardrailChecked' }>,
): Promise<void> {
  const count = (counts.get(run) ?? 0) + 1;
  // A turn may check thousands of texts, each with each of its guardrails.
  if (count > maxGuardResults) return;
  counts.set(run, count);
  const { id, agentId, guardrail, stage, tripwireTriggered, decision, at } = result;
  await writeOwned(
    runtime.db,
    run,
    Prisma.sql`${lockOwned(runtime, run)}, written AS (
      INSERT INTO guardrail_results (id, tenant_id, run_id, agent_id, step, guardrail, stage, tripwire_triggered, decision, at)
      SELECT ${id}::uuid, ${run.tenantId}, id, ${agentId}::uuid, ${step}::int, ${guardrail}, ${stage}::"GuardrailStage",
        ${tripwireTriggered}, ${JSON.stringify(decision)}::jsonb, ${at}::timestamptz
      FROM owned
      ON CONFLICT (id) DO NOTHING
    )`,
  );
}

/**
 * Replaces the text of the user message of a run, and the title of the conversation if it was taken from it.
 * @param content the text as the model is sent it: with a line for each attachment below it (plan/history.ts)
 */
export async function redactUserMessage(runtime: RunRuntime, run: Run, content: string): Promise<void> {
  await writeOwned(
    runtime.db,
    run,
    Prisma.sql`${lockOwnedWithConversation(runtime, run)}, message AS (
      SELECT id, position, content AS written, CASE jsonb_array_length(attachments)
        WHEN 0 THEN ${content}
        ELSE coalesce(nullif(array_to_string((string_to_array(${content}, E'\n'))[
          1:array_length(string_to_array(${content}, E'\n'), 1) - jsonb_array_length(attachments)], E'\n'), ''),
          ${patternPlaceholder})
      END AS redacted
      FROM messages WHERE id = ${run.userMessageId}::uuid AND conversation_id = (SELECT conversation_id FROM owned)
    ), replaced AS (
      UPDATE messages SET content = message.redacted, status = 'REDACTED' FROM message WHERE messages.id = message.id
    ), retitled AS (
      UPDATE conversations SET title = ${makeTitle(content)}
      FROM message WHERE conversations.id = (SELECT conversation_id FROM owned) AND message.position = 1
        AND message.redacted <> message.written AND NOT auto_title
        AND starts_with(regexp_replace(btrim(message.written), '\\s+', ' ', 'g'), rtrim(title, '…'))
    )`,
  );
}
