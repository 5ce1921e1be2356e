import { NotFoundError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import type { Run } from '../../generated/prisma/client.ts';
import type { RunEvent } from '../../log/event.ts';
import { readEnd } from '../run-end.ts';
import { endedColumns } from '../transitions/ended-columns.ts';
import { type RunQuery, readRun } from './read.ts';

/** What readers knew of a run when they came to it, by the terminal event that they were given. */
const known = new WeakMap<RunEvent, Run>();

/** What lay beside a row that is gone. */
const nothing = { messages: [], toolCalls: [], handoffs: [], agent: null, userMessage: null };

/**
 * Keeps what is known of a run with its terminal event, for as long as that is under way. Its conversation may be deleted,
 * here or on another instance, before the event has reached its reader.
 */
export function cacheEndedRun(terminal: RunEvent, run: Run): void {
  known.set(terminal, run);
}

/**
 * The run of a terminal event: its row or, where that was deleted in the meantime, what is known of it without it. A reader
 * is told of the end either way; what lay beside the row (messages, calls) is gone with it.
 * @throws as readRun does, for a run that was not followed, and where its conversation is asked for, which is gone
 */
export async function readEndedRun(viewer: Viewer, db: Db, terminal: RunEvent, query: RunQuery = {}): Promise<Run> {
  try {
    return await readRun(viewer, db, terminal.runId, query);
  } catch (error) {
    // Whoever follows a run has been looked at then: it is theirs.
    const run = known.get(terminal);
    const end = readEnd(terminal);
    if (!(error instanceof NotFoundError) || !run || !end) throw error;
    // There is no conversation to answer.
    if (query.include?.conversation) throw error;
    return { ...run, ...endedColumns(end, terminal.seq, new Date(terminal.at)), ...nothing };
  }
}
