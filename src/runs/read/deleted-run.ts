import { NotFoundError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import type { Run } from '../../generated/prisma/client.ts';
import type { RunEvent } from '../../log/event.ts';
import { readEnd } from '../run-end.ts';
import { endedColumns } from '../transitions/ended-columns.ts';
import { type RunQuery, readRun } from './read.ts';

/** The runs as they were when their readers attached, by the terminal event that the readers got. */
const known = new WeakMap<RunEvent, Run>();

/** The relations of a run that was deleted. */
const nothing = { handoffs: [] };

/**
 * Remembers a run with its terminal event, until the event is delivered. Its conversation may be deleted, here or on
 * another instance, before the event has reached its reader.
 */
export function cacheEndedRun(terminal: RunEvent, run: Run): void {
  known.set(terminal, run);
}

/**
 * The run of a terminal event: its row or, if that was deleted in the meantime, the run as it was remembered, without
 * messages and calls.
 * @throws as readRun does, for a run that was not followed, and if its deleted conversation is selected
 */
export async function readEndedRun(viewer: Viewer, db: Db, terminal: RunEvent, query: RunQuery = {}): Promise<Run> {
  try {
    return await readRun(viewer, db, terminal.runId, query);
  } catch (error) {
    // The permission was checked when the reader attached.
    const run = known.get(terminal);
    const end = readEnd(terminal);
    if (!(error instanceof NotFoundError) || !run || !end) throw error;
    // The conversation does not exist any more.
    if (query.include?.conversation) throw error;
    return { ...run, ...endedColumns(end, terminal.seq, new Date(terminal.at)), ...nothing };
  }
}
