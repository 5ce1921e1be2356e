import { NotFoundError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { makeDeletedConversation, makeDeletedMessage, makeDeletedRun } from '../../database/deleted-rows.ts';
import type { Message, Prisma, Run } from '../../generated/prisma/client.ts';
import type { SizedReads } from '../../limits/answer-budget.ts';
import type { RunEvent } from '../../log/event.ts';
import { readEnd } from '../run-end.ts';
import type { RunRuntime } from '../runtime.ts';
import { endedColumns } from '../transitions/ended-columns.ts';
import { type RunQuery, readRun, readRunMessage } from './read.ts';

/*
 * An event names rows, and its reader reads them when the event is delivered. They may have been deleted by then, with
 * their conversation, here or on another instance. The event is delivered all the same: what it names is then an object
 * with its id and with nothing in it.
 */

/** The runs as they were when their readers attached, by the events that the readers got. */
const known = new WeakMap<RunEvent, Run>();

/** Remembers the run of an event until the event is delivered. */
export function rememberRun(event: RunEvent, run: Run): void {
  known.set(event, run);
}

/** The run of an event: its row or, if that was deleted, the run as it was remembered, without messages and calls. */
export async function readEventRun(
  viewer: Viewer,
  db: RunRuntime['db'],
  event: RunEvent,
  query: RunQuery = {},
): Promise<Run> {
  try {
    return await readRun(viewer, db, event.runId, query);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    // The permission was checked when the reader attached.
    const run = known.get(event);
    const end = readEnd(event);
    return {
      ...makeDeletedRun(viewer, event.runId, new Date(event.at)),
      ...run,
      ...(end && endedColumns(end, event.seq, new Date(event.at))),
    };
  }
}

/**
 * A message that an event names: its row or, if that was deleted, a message with its id.
 * @param like what the event itself says of the message
 */
export async function readEventMessage(
  viewer: Viewer,
  reads: SizedReads,
  { event, id, like = {} }: { readonly event: RunEvent; readonly id: string; readonly like?: Partial<Message> },
  query: { readonly include?: Prisma.MessageInclude } = {},
): Promise<Message> {
  try {
    return { ...(await readRunMessage(viewer, reads, id, query)), ...like };
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    const conversationId = known.get(event)?.conversationId ?? event.runId;
    const conversation = makeDeletedConversation(conversationId, viewer);
    return { ...makeDeletedMessage(id, conversation), createdAt: new Date(event.at), ...like };
  }
}

/**
 * A message as it was when it started: STREAMING, and empty. Its row is written behind the event, so it is waited for;
 * readers that do not ask for the message do not wait.
 */
export async function readStartedMessage(
  viewer: Viewer,
  reads: SizedReads & { readonly runs: RunRuntime },
  event: Extract<RunEvent, { readonly type: 'MessageStarted' }>,
  query: { readonly include?: Prisma.MessageInclude } = {},
): Promise<Message> {
  await reads.runs.running.get(event.runId)?.progress.written();
  const like = {
    role: 'ASSISTANT',
    status: 'STREAMING',
    content: '',
    finishReason: null,
    agentId: event.agentId,
  } as const;
  return readEventMessage(viewer, reads, { event, id: event.messageId, like }, query);
}
