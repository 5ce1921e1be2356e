import { assembleTexts, sequenceOf, type TurnEvent } from '../support/clients/turn-reader.ts';

/** A turn as the rows hold it after its end. */
interface StoredTurnRows {
  readonly status: string;
  readonly lastSeq: number;
  readonly messages: readonly { readonly id: string; readonly status: string; readonly content: string }[];
  readonly toolCalls: readonly { readonly callId: string; readonly status: string }[];
}

/** What is known of a turn that has ended. */
export interface EndedTurn {
  readonly run: StoredTurnRows;
  /** What each of its readers was given, from its first event on. */
  readonly readers: readonly (readonly TurnEvent[])[];
  /** The call ids that the tools themselves have received. */
  readonly received: readonly string[];
  /** Whether readers may have been given different events: those who came after a takeover are told what the rows hold. */
  readonly mayDiffer?: boolean;
}

const terminal = /^Run(Completed|Failed|Cancelled)$/;
const endedCalls = ['SUCCEEDED', 'FAILED', 'DENIED', 'CANCELLED', 'UNKNOWN'];

/**
 * Compares the rows, the streams of the readers and the logs of the tools of one turn: nothing may be lost, nothing may
 * have happened twice, and there is one end.
 * @returns a sentence for each fault
 */
export function findFaults({ run, readers, received, mayDiffer = false }: EndedTurn): string[] {
  const faults: string[] = [];
  const stored = new Map(run.messages.map(({ id, content }) => [id, content]));
  const end = { COMPLETED: 'RunCompleted', FAILED: 'RunFailed', CANCELLED: 'RunCancelled' }[run.status];
  if (end === undefined) faults.push(`The run has not ended: it is ${run.status}.`);
  for (const message of run.messages)
    if (message.status === 'STREAMING') faults.push(`The message ${message.id} is still being written.`);
  for (const call of run.toolCalls)
    if (!endedCalls.includes(call.status)) faults.push(`The call ${call.callId} is ${call.status}.`);

  for (const [index, events] of readers.entries()) {
    const who = `Reader ${index + 1}`;
    const ends = events.filter(({ __typename }) => terminal.test(__typename));
    if (ends.length !== 1) faults.push(`${who} was told ${ends.length} ends.`);
    const last = events.at(-1);
    if (last?.__typename !== end)
      faults.push(`${who} was last told ${last?.__typename}, and the run is ${run.status}.`);
    if (last && last.seq !== run.lastSeq) faults.push(`${who} ended at ${last.seq}, the run at ${run.lastSeq}.`);
    if (events.some(({ seq }, place) => place > 0 && seq <= (events[place - 1]?.seq ?? 0)))
      faults.push(`${who} was given a seq that does not grow.`);
    const texts = assembleTexts(events);
    for (const [id, content] of stored)
      if ((texts.get(id) ?? '') !== content) faults.push(`${who} shows another text of ${id} than the rows.`);
    for (const id of texts.keys())
      if (!stored.has(id)) faults.push(`${who} shows the message ${id}, which is not stored.`);
    const ended = events.flatMap(({ __typename, toolCall }) =>
      __typename === 'ToolCallCompleted' && toolCall ? [toolCall] : [],
    );
    for (const { callId, status } of run.toolCalls) {
      const told = ended.filter((call) => call.callId === callId);
      if (told.at(-1)?.status !== status)
        faults.push(`${who} was told ${told.at(-1)?.status ?? 'nothing'} of ${callId}, which is ${status}.`);
    }
  }
  const sequences = new Set(readers.map((events) => JSON.stringify(sequenceOf(events))));
  if (sequences.size > 1 && !mayDiffer) faults.push('The readers were given different events.');

  for (const callId of new Set(received)) {
    const times = received.filter((id) => id === callId).length;
    if (times > 1) faults.push(`The tool received ${callId} ${times} times.`);
    const status = run.toolCalls.find((call) => call.callId === callId)?.status;
    if (status === undefined || status === 'CANCELLED' || status === 'DENIED')
      faults.push(`The tool received ${callId}, and the rows say ${status ?? 'nothing of it'}.`);
  }
  for (const { callId, status } of run.toolCalls)
    if (status === 'SUCCEEDED' && !received.includes(callId)) faults.push(`The tool never received ${callId}.`);
  return faults;
}
