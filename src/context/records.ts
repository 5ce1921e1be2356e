import { SwitchboardError, UnavailableError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import { raceAbort } from '../engine/abort.ts';
import { boundResult } from '../engine/tool-result.ts';
import { executeTool } from '../tools/registry/execute.ts';
import type { ContextRuntime, RecordTool } from './runtime.ts';

/** How long all records of a snapshot may take together, in milliseconds. */
const totalMs = 10_000;
/** Records that are read at the same time. */
const recordsAtOnce = 4;
/** Characters of the JSON of one record that are looked at. */
const maxRecordCharacters = 20_000;

/** A record that was asked for. */
export interface ContextRecord {
  /** As the client gave it. */
  readonly recordId: string;
  /** The part of it that the tool was given. */
  readonly id: string;
  readonly outcome: { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: string };
}

/**
 * Reads records by the tools that the operator has named, as the viewer: with the viewer's roles and rate limit. A record
 * that cannot be read is a sentence in the snapshot, and never fails it.
 * @param clientGone aborts when the client disconnects
 * @throws {UnavailableError} if the client disconnected
 */
export async function readRecords(
  viewer: Viewer,
  context: ContextRuntime,
  recordIds: readonly string[],
  clientGone: AbortSignal | null,
): Promise<ContextRecord[]> {
  const timeout = AbortSignal.timeout(totalMs);
  const signal = clientGone === null ? timeout : AbortSignal.any([timeout, clientGone]);
  const records: ContextRecord[] = [];
  const left = [...recordIds.entries()];
  const readOn = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const [index, recordId] = next;
      records[index] = await readRecord(viewer, context, recordId, signal);
    }
  };
  await Promise.all(Array.from({ length: recordsAtOnce }, readOn));
  // Nobody waits for it: what was read is not stored.
  if (clientGone?.aborted) throw new UnavailableError('The client disconnected before the snapshot was made.');
  return records;
}

async function readRecord(
  viewer: Viewer,
  context: ContextRuntime,
  recordId: string,
  signal: AbortSignal,
): Promise<ContextRecord> {
  const found = findRecordTool(context.recordTools, recordId);
  const failed = (error: string): ContextRecord => ({
    recordId,
    id: found?.id ?? recordId,
    outcome: { ok: false, error },
  });
  if (found === null) return failed('No tool reads records of this kind.');
  try {
    const { record, id } = found;
    return { recordId, id, outcome: await raceAbort(callTool(viewer, context, record, id, signal), signal) };
  } catch (error) {
    if (signal.aborted) return failed(`It was not read within ${totalMs / 1000} seconds.`);
    // Too many calls, no such tool, or not for the viewer's roles: written for the caller.
    if (error instanceof SwitchboardError) return failed(error.message);
    context.logger.warn({ err: error, tool: found.record.tool }, 'a record of a context snapshot could not be read');
    return failed('It could not be read.');
  }
}

async function callTool(
  viewer: Viewer,
  { tools }: ContextRuntime,
  { tool: name, argument }: RecordTool,
  id: string,
  signal: AbortSignal,
): Promise<ContextRecord['outcome']> {
  const [tool] = await tools.findTools(viewer, [name]);
  // Nobody has seen the call: what a person has to approve is not made.
  if (tool?.requiresApproval) return { ok: false, error: 'Its tool needs an approval for each call.' };
  const called = await executeTool(viewer, tools, { name, arguments: { [argument]: id } }, signal);
  if (!called.ok) return { ok: false, error: called.error ?? 'The tool failed.' };
  return { ok: true, value: boundResult(called.result, maxRecordCharacters).result };
}

function findRecordTool(
  recordTools: readonly RecordTool[],
  recordId: string,
): { readonly record: RecordTool; readonly id: string } | null {
  const colon = recordId.indexOf(':');
  const kind = recordId.slice(0, Math.max(0, colon));
  const ofKind = recordTools.find((record) => record.kind === kind);
  if (ofKind) return { record: ofKind, id: recordId.slice(colon + 1) };
  const ofAll = recordTools.find((record) => record.kind === '*');
  return ofAll ? { record: ofAll, id: recordId } : null;
}
