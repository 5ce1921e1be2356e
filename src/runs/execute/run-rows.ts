import type { TurnEvent, TurnToolCall } from '../../engine/events.ts';
import { cleanJson } from '../../engine/tool-result.ts';
import { unknownNote } from '../../engine/tool-step.ts';
import { Prisma, type Run } from '../../generated/prisma/client.ts';
import { writeProviderState } from '../provider-state.ts';
import type { RunRuntime } from '../runtime.ts';
import { lockOwned, lockOwnedWithConversation, writeOwned } from '../transitions/lease.ts';
import {
  type FinishedMessage,
  finishMessageParts,
  type LedgerEntry,
  modelCallPart,
} from '../transitions/step-parts.ts';

// What a run writes while it goes on, one statement each. Each of them writes only while this process has the lease of the
// run, and throws LeaseLost otherwise. Each can be sent again if its answer was lost: a second time it changes nothing.

/** Takes the next position in the conversation for a message that is being written, if a reader asks for its row. */
export async function insertMessage(
  runtime: RunRuntime,
  run: Run,
  message: { readonly id: string; readonly agentId: string; readonly step: number },
): Promise<void> {
  const { id, agentId, step } = message;
  await writeOwned(
    runtime.db,
    run,
    Prisma.sql`${lockOwnedWithConversation(runtime, run)}, place AS (
      UPDATE conversations SET message_count = message_count + 1, updated_at = greatest(updated_at, clock_timestamp())
      WHERE id = (SELECT conversation_id FROM owned) AND NOT EXISTS (SELECT 1 FROM messages WHERE id = ${id}::uuid)
      RETURNING message_count
    ), written AS (
      INSERT INTO messages (id, tenant_id, conversation_id, position, role, status, content, agent_id, run_id, step)
      SELECT ${id}::uuid, ${run.tenantId}, ${run.conversationId}::uuid, message_count, 'ASSISTANT', 'STREAMING', '',
        ${agentId}::uuid, ${run.id}::uuid, ${step}::int
      FROM place
    )`,
  );
}

/**
 * Stores a finished message whose turn goes on, its model call, and the calls of its step with it: whoever reads the complete
 * message reads its calls.
 * @param options.calls those of its step; null: none
 * @param options.ledger its model call; null: it is written already
 */
export async function completeMessage(
  runtime: RunRuntime,
  run: Run,
  message: FinishedMessage,
  { calls, ledger }: { readonly calls: RequestedCalls | null; readonly ledger: LedgerEntry | null },
): Promise<void> {
  await writeOwned(
    runtime.db,
    run,
    Prisma.sql`${lockOwnedWithConversation(runtime, run)}${finishMessageParts(run, message, false)}${
      ledger ? modelCallPart(run, ledger) : Prisma.empty
    }${calls ? insertCallsPart(run, calls) : Prisma.empty}`,
  );
}

/** The calls that a step asks for. */
export type RequestedCalls = Extract<TurnEvent, { type: 'callsRequested' }>;

/**
 * Writes the calls that a step without a text asks for, before anything of them is sent out.
 * @param ledger the model call of the step; null: it is written already
 */
export async function insertCalls(
  runtime: RunRuntime,
  run: Run,
  calls: RequestedCalls,
  ledger: LedgerEntry | null = null,
): Promise<void> {
  await writeOwned(
    runtime.db,
    run,
    Prisma.sql`${lockOwned(runtime, run)}${ledger ? modelCallPart(run, ledger) : Prisma.empty}${insertCallsPart(run, calls)}`,
  );
}

/** The handoffs that a step asks for, as a message and a first call have them. */
export function writeTransfers(transfers: RequestedCalls['transfers']): string {
  return JSON.stringify(cleanJson(JSON.stringify(transfers)));
}

function insertCallsPart(run: Run, { toolCalls, transfers, state }: RequestedCalls): Prisma.Sql {
  if (toolCalls.length === 0) return Prisma.empty;
  const rows = toolCalls.map((call, position) => {
    // It belongs to the step: it is stored once, with the first call.
    const column = position === 0 && state ? writeProviderState(state) : null;
    const handoffs = position === 0 && transfers.length > 0 ? writeTransfers(transfers) : null;
    return Prisma.sql`(${call.id}::uuid, ${call.messageId}::uuid, ${call.callId}, ${call.step}::int, ${call.index}::int,
      ${call.name}, ${call.arguments}, ${call.agentId}::uuid, ${column === null ? null : JSON.stringify(column)}::jsonb,
      ${handoffs}::jsonb)`;
  });
  return Prisma.sql`, requested AS (
    INSERT INTO tool_calls (row_id, tenant_id, conversation_id, run_id, message_id, call_id, step, index, name, arguments,
      status, agent_id, provider_state, transfers)
    SELECT c.row_id, ${run.tenantId}, ${run.conversationId}::uuid, owned.id, c.message_id, c.call_id, c.step, c.index,
      c.name, c.arguments, 'PENDING', c.agent_id, c.provider_state, c.transfers
    FROM owned, (VALUES ${Prisma.join(rows)})
      AS c (row_id, message_id, call_id, step, index, name, arguments, agent_id, provider_state, transfers)
    ON CONFLICT (run_id, call_id) DO NOTHING
  )`;
}

/** Begins a call, before anything of it is sent out: what is sent was owned at that moment. */
export async function beginCall(runtime: RunRuntime, run: Run, { id, startedAt }: TurnToolCall): Promise<void> {
  await writeOwned(
    runtime.db,
    run,
    Prisma.sql`${lockOwned(runtime, run)}, begun AS (
      UPDATE tool_calls SET status = 'RUNNING', started_at = ${startedAt}::timestamptz
      WHERE row_id = ${id}::uuid AND run_id = (SELECT id FROM owned) AND status = 'PENDING'
    )`,
  );
}

/** Stores the outcome of a call. @returns whether messages wait to join the run */
export async function completeCall(
  runtime: RunRuntime,
  run: Run,
  { id, status, result, error, finishedAt }: TurnToolCall,
): Promise<boolean> {
  return writeOwned(
    runtime.db,
    run,
    Prisma.sql`${lockOwned(runtime, run)}, completed AS (
      UPDATE tool_calls SET status = ${status}::"ToolCallStatus",
        -- The engine made it serialisable (tool-result.ts); null is stored as NULL.
        result = ${result === null ? null : JSON.stringify(result)}::jsonb,
        error = ${error}, finished_at = ${finishedAt}::timestamptz
      WHERE row_id = ${id}::uuid AND run_id = (SELECT id FROM owned) AND status IN ('PENDING', 'RUNNING')
    )`,
  );
}

/** What whoever takes a run over changes in its rows before it continues. */
export interface Takeover {
  /** The message of the step that is tried again; null: none. */
  readonly reopened: string | null;
  /** The row ids of the calls whose outcome cannot be learnt any more. */
  readonly unknown: readonly string[];
}

/** Takes back the text of a step that was interrupted, and closes the calls that may have been carried out. */
export async function prepareTakeover(runtime: RunRuntime, run: Run, { reopened, unknown }: Takeover): Promise<void> {
  await writeOwned(
    runtime.db,
    run,
    Prisma.sql`${lockOwned(runtime, run)}, reopened AS (
      UPDATE messages SET status = 'STREAMING', content = '', finish_reason = NULL
      WHERE id = ${reopened}::uuid AND run_id = (SELECT id FROM owned)
    ), closed AS (
      UPDATE tool_calls SET status = 'UNKNOWN', error = ${unknownNote}, finished_at = ${new Date()}::timestamptz
      WHERE row_id = ANY(${[...unknown]}::uuid[]) AND run_id = (SELECT id FROM owned) AND status = 'RUNNING'
    )`,
  );
}

/** Adds a model call to the ledger that no other statement takes along. */
export async function insertModelCall(runtime: RunRuntime, run: Run, entry: LedgerEntry): Promise<void> {
  await writeOwned(runtime.db, run, Prisma.sql`${lockOwned(runtime, run)}${modelCallPart(run, entry)}`);
}
