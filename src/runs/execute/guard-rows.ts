import { makeTitle, untitled } from '../../conversations/text.ts';
import type { TurnEvent } from '../../engine/events.ts';
import type { GuardResult } from '../../engine/guard.ts';
import type { FileText } from '../../engine/ports.ts';
import { Prisma, type Run } from '../../generated/prisma/client.ts';
import { patternPlaceholder } from '../../guardrails/patterns.ts';
import { isResultOfFile, maxGuardResults, readGuardResult } from '../guard-result.ts';
import type { RunRuntime } from '../runtime.ts';
import { lockOwned, lockOwnedWithConversation, writeOwned } from '../transitions/lease.ts';

/** The longest name of an attachment, in UTF-16 code units. */
const maxNameLength = 255;

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

/** The results for what the user has sent that a run has stored, and those of them that are about the text, not about files. */
export async function readInputResults(
  { db }: RunRuntime,
  { tenantId, id }: Run,
): Promise<{ readonly all: readonly GuardResult[]; readonly ofText: readonly GuardResult[] }> {
  const where = { tenantId, runId: id, stage: 'INPUT' } as const;
  const rows = await db.guardrailResult.findMany({
    where,
    orderBy: [{ at: 'asc' }, { id: 'asc' }],
    take: maxGuardResults,
  });
  const ofText = rows.filter((row) => !isResultOfFile(row));
  return { all: rows.map(readGuardResult), ofText: ofText.map(readGuardResult) };
}

/** The user message of a run, if it is there; what a title was made of is compared with what it would be made of now. */
async function readUserMessage({ db }: RunRuntime, run: Run) {
  const where = { id: run.userMessageId, tenantId: run.tenantId, conversationId: run.conversationId };
  const row = await db.message.findUnique({ where, select: { content: true, attachments: true } });
  return row && { ...row, title: makeTitle(row.content) };
}

/**
 * Replaces the text of the user message of a run, the names of its files and what stands in them, and the title of the
 * conversation if it was made of the text. A second time it changes nothing.
 * @param input.content the text as the model is sent it: with a line for each attachment below it (plan/history.ts)
 * @param input.files those that have changed
 */
async function redactUserMessage(
  runtime: RunRuntime,
  run: Run,
  { content, files }: { readonly content: string; readonly files: readonly FileText[] },
): Promise<void> {
  const before = await readUserMessage(runtime, run);
  if (before === null) return;
  const attachments = Array.isArray(before.attachments) ? before.attachments : [];
  const lines = content.split('\n');
  const own = lines.slice(0, lines.length - attachments.length).join('\n');
  // A message may be its files alone.
  const redacted = own === '' && before.content !== '' ? patternPlaceholder : own;
  const stored = files.filter(({ id }) => id !== null);
  await writeOwned(
    runtime.db,
    run,
    Prisma.sql`${lockOwnedWithConversation(runtime, run)}, replaced AS (
      UPDATE messages SET content = ${redacted}, status = 'REDACTED', attachments = ${JSON.stringify(rename(attachments, files))}::jsonb
      WHERE id = ${run.userMessageId}::uuid AND conversation_id = (SELECT conversation_id FROM owned)
    ), filed AS (
      UPDATE attachments SET name = changed.name, text = changed.text
      FROM unnest(${stored.map(({ id }) => id)}::uuid[], ${stored.map(({ name }) => cutName(name))}::text[],
        ${stored.map(({ text }) => text)}::text[]) AS changed (id, name, text)
      WHERE attachments.id = changed.id AND tenant_id = ${run.tenantId} AND user_id = ${run.userId}
        AND conversation_id = (SELECT conversation_id FROM owned)
    ), retitled AS (
      UPDATE conversations SET title = ${makeTitle(redacted)}
      WHERE id = (SELECT conversation_id FROM owned) AND NOT auto_title AND title = ${before.title}
        AND title <> ${makeTitle(redacted)}
    )`,
  );
}

/** The attachments of a message, with what was replaced in their names and addresses. */
function rename(attachments: readonly Prisma.JsonValue[], files: readonly FileText[]): readonly Prisma.JsonValue[] {
  const changed = new Map(files.map((file) => [file.place, file]));
  return attachments.map((attachment, place) => {
    const file = changed.get(place);
    if (file === undefined || typeof attachment !== 'object' || attachment === null || Array.isArray(attachment))
      return attachment;
    return { ...attachment, name: cutName(file.name), ...(file.url !== null && { url: file.url }) };
  });
}

/** A placeholder may be longer than what it stands for. */
const cutName = (name: string) => name.slice(0, maxNameLength).toWellFormed();

/**
 * Marks the user message of a run as blocked: from then on it is for the eyes of its author only. If the title of the
 * conversation was made of it, the conversation has none again. A second time it changes nothing.
 */
async function blockUserMessage(runtime: RunRuntime, run: Run): Promise<void> {
  const before = await readUserMessage(runtime, run);
  if (before === null) return;
  await writeOwned(
    runtime.db,
    run,
    Prisma.sql`${lockOwnedWithConversation(runtime, run)}, blocked AS (
      UPDATE messages SET status = 'BLOCKED'
      WHERE id = ${run.userMessageId}::uuid AND conversation_id = (SELECT conversation_id FROM owned)
        AND status <> 'BLOCKED'
      RETURNING id
    ), retitled AS (
      UPDATE conversations SET title = ${untitled}, auto_title = true
      FROM blocked WHERE conversations.id = (SELECT conversation_id FROM owned) AND NOT auto_title
        AND title = ${before.title}
    )`,
  );
}

/** Stores what guardrails have made of the text of the user while the turn went on. */
export function changeUserMessage(
  runtime: RunRuntime,
  run: Run,
  event: Extract<TurnEvent, { type: 'inputRedacted' | 'inputBlocked' }>,
): Promise<void> {
  return event.type === 'inputBlocked' ? blockUserMessage(runtime, run) : redactUserMessage(runtime, run, event);
}
