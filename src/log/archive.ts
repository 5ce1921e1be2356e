import { setImmediate as nextLoopTurn } from 'node:timers/promises';
import { z } from 'zod';
import { callStatuses } from '../engine/events.ts';
import { failureCodes } from '../engine/ports.ts';
import { cutLine } from './archive-pieces.ts';
import { type ArchivedEvent, completeEvents, type StoredIds } from './earlier-archives.ts';
import { type RunEvent, sizeOfEvent } from './event.ts';

/*
 * The archive of a run that has ended, or that waits for a person, is one text: lines, each a JSON array of entries.
 * Adjacent deltas of one message are one entry that holds the joined text and the boundaries (lengths and milliseconds),
 * so a token costs a few bytes, and unpacking returns exactly the events that were packed.
 *
 * A line is packed or unpacked in one go, and the event loop turns between two lines, so that a long run stops nobody
 * else. Archives from before that are one line of any length, which is unpacked in pieces (archive-pieces.ts).
 */

/** A line holds at most this many events, ... */
const maxLineEvents = 1_000;
/** ... and no further event once it holds this many bytes of text. */
const maxLineBytes = 256 * 1024;
/** So many events are unpacked before the event loop turns. */
const maxEventsAtOnce = 5_000;

const date = z.iso.datetime().transform((at) => new Date(at));

const toolCall = z.strictObject({
  // Archives of earlier versions have no ids of calls: they are read from the rows (earlier-archives.ts).
  id: z.string().nullable().default(null),
  callId: z.string(),
  messageId: z.string().nullable().default(null),
  step: z.int(),
  index: z.int(),
  name: z.string(),
  arguments: z.string(),
  // Older archives, from before approvals existed, have neither.
  editedArguments: z.string().nullable().default(null),
  decidedBy: z.string().nullable().default(null),
  result: z.unknown(),
  status: z.enum(callStatuses),
  error: z.string().nullable(),
  agentId: z.string(),
  startedAt: date.nullable(),
  finishedAt: date.nullable(),
  approvalExpiresAt: date.nullable().default(null),
});

const failure = z.strictObject({
  code: z.enum(failureCodes),
  message: z.string(),
  retryable: z.boolean(),
});

const guardResult = z.strictObject({
  id: z.string(),
  guardrail: z.string(),
  stage: z.enum(['INPUT', 'OUTPUT', 'TOOL_INPUT', 'TOOL_OUTPUT']),
  agentId: z.string(),
  tripwireTriggered: z.boolean(),
  decision: z.strictObject({
    flagged: z.boolean(),
    action: z.enum(['ALLOW', 'BLOCK', 'REDACT']),
    categories: z.array(z.strictObject({ name: z.string(), flagged: z.boolean(), score: z.number() })),
    reasoning: z.string().nullable(),
  }),
  at: date,
});

const decision = z.strictObject({
  rootAgentId: z.string().nullable(),
  selectedAgentIds: z.array(z.string()),
  selectedTools: z.array(z.string()),
  confidence: z.number(),
  reasoning: z.string(),
  alternatives: z.array(z.string()),
});

const base = { seq: z.int(), at: z.number() };
const deltas = { text: z.string(), lengths: z.array(z.int()), delays: z.array(z.number()) };
const entry = z.discriminatedUnion('type', [
  z.strictObject({ ...base, type: z.literal('RunQueued'), position: z.int() }),
  z.strictObject({ ...base, type: z.literal('RunStarted'), userMessageId: z.string() }),
  z.strictObject({ ...base, type: z.literal('RoutingDecided'), decision }),
  z.strictObject({ ...base, type: z.literal('MessageStarted'), messageId: z.string(), agentId: z.string() }),
  z.strictObject({ ...base, type: z.literal('TextDelta'), messageId: z.string(), offset: z.int(), ...deltas }),
  z.strictObject({
    ...base,
    type: z.literal('ReasoningDelta'),
    messageId: z.string().nullable().default(null),
    offset: z.int().nullable().default(null),
    ...deltas,
  }),
  z.strictObject({ ...base, type: z.literal('TextRetracted'), messageId: z.string(), length: z.int() }),
  z.strictObject({ ...base, type: z.literal('ToolCallStarted'), toolCall }),
  z.strictObject({ ...base, type: z.literal('ToolCallCompleted'), toolCall }),
  z.strictObject({ ...base, type: z.literal('ApprovalRequested'), toolCall }),
  z.strictObject({
    ...base,
    type: z.literal('HandoffOccurred'),
    handoffId: z.string().nullable().default(null),
    fromAgentId: z.string(),
    toAgentId: z.string(),
    reason: z.string().nullable(),
    happenedAt: date,
    happenedSeq: z.int().nullable().default(null),
  }),
  z.strictObject({ ...base, type: z.literal('GuardrailTripped'), result: guardResult }),
  z.strictObject({ ...base, type: z.literal('MessageSteered'), messageId: z.string() }),
  z.strictObject({ ...base, type: z.literal('MessageCompleted'), messageId: z.string() }),
  z.strictObject({ ...base, type: z.literal('RunCompleted') }),
  z.strictObject({ ...base, type: z.literal('RunFailed'), failure }),
  z.strictObject({ ...base, type: z.literal('RunCancelled') }),
]);
const entries = z.array(entry);

interface OpenDeltas {
  type: 'TextDelta' | 'ReasoningDelta';
  seq: number;
  at: number;
  messageId: string;
  offset: number;
  text: string[];
  lengths: number[];
  delays: number[];
  /** The seq and the offset of a delta that continues this entry. */
  nextSeq: number;
  nextOffset: number;
}

/** Packs the events of a run, with their boundaries. */
export async function packEvents(events: readonly RunEvent[]): Promise<string> {
  const lines: string[] = [];
  for (let from = 0; from < events.length; ) {
    if (from > 0) await nextLoopTurn();
    const end = findLineEnd(events, from);
    lines.push(packLine(events.slice(from, end)));
    from = end;
  }
  return lines.length === 0 ? '[]' : lines.join('\n');
}

/** The position behind the last event of the line that begins at `from`. */
function findLineEnd(events: readonly RunEvent[], from: number): number {
  let bytes = 0;
  let end = from;
  for (const event of events.slice(from, from + maxLineEvents)) {
    bytes += sizeOfEvent(event);
    end += 1;
    if (bytes >= maxLineBytes) break;
  }
  return end;
}

/** Packs some events of a run as one line. */
export function packLine(events: readonly RunEvent[]): string {
  const packed: unknown[] = [];
  let open: OpenDeltas | null = null;
  for (const event of events) {
    if (event.type !== 'TextDelta' && event.type !== 'ReasoningDelta') {
      if (open) packed.push(closeDeltas(open));
      open = null;
      const { runId: _runId, ...entry } = event;
      packed.push(entry);
      continue;
    }
    if (open && !follows(open, event)) {
      packed.push(closeDeltas(open));
      open = null;
    }
    const { type, seq, at, messageId, offset, delta } = event;
    open ??= {
      type,
      seq,
      at,
      messageId,
      offset,
      text: [],
      lengths: [],
      delays: [],
      nextSeq: seq,
      nextOffset: offset,
    };
    open.text.push(delta);
    open.lengths.push(delta.length);
    open.delays.push(at - open.at);
    open.nextSeq = seq + 1;
    open.nextOffset += delta.length;
  }
  if (open) packed.push(closeDeltas(open));
  return JSON.stringify(packed);
}

function follows(open: OpenDeltas, event: RunEvent & { type: 'TextDelta' | 'ReasoningDelta' }): boolean {
  if (open.type !== event.type || open.nextSeq !== event.seq) return false;
  return open.messageId === event.messageId && open.nextOffset === event.offset;
}

function closeDeltas({ nextSeq, nextOffset, text, ...rest }: OpenDeltas): unknown {
  return { ...rest, text: text.join('') };
}

/**
 * Unpacks the events of a run, exactly as they were packed.
 * @param readIds reads the ids of the run's rows, which the archives of earlier versions lack
 * @throws {z.ZodError} {@link SyntaxError} when the text is not an archive
 */
export async function unpackEvents(
  runId: string,
  archive: string,
  readIds: () => Promise<StoredIds>,
): Promise<RunEvent[]> {
  const events: ArchivedEvent[] = [];
  for (let from = 0; from <= archive.length; ) {
    const newline = archive.indexOf('\n', from);
    const end = newline === -1 ? archive.length : newline;
    for (const piece of cutLine(archive.slice(from, end))) {
      if (events.length > 0) await nextLoopTurn();
      for (const event of unpackLine(runId, piece)) {
        events.push(event);
        // One entry of an older archive can hold any number of deltas.
        if (events.length % maxEventsAtOnce === 0) await nextLoopTurn();
      }
    }
    from = end + 1;
  }
  return completeEvents(events, readIds);
}

/**
 * Unpacks a line, or a piece of one.
 * @throws {z.ZodError} {@link SyntaxError} when it is none
 */
export function* unpackLine(runId: string, piece: string): Generator<ArchivedEvent, void, undefined> {
  for (const packed of entries.parse(JSON.parse(piece))) {
    if (packed.type !== 'TextDelta' && packed.type !== 'ReasoningDelta') {
      yield { ...packed, runId };
      continue;
    }
    let start = 0;
    for (const [index, length] of packed.lengths.entries()) {
      const common = {
        seq: packed.seq + index,
        at: packed.at + (packed.delays[index] ?? 0),
        runId,
        delta: packed.text.slice(start, start + length),
      };
      const { type, messageId, offset } = packed;
      if (type === 'TextDelta') yield { type, messageId, offset: offset + start, ...common };
      else yield { type, messageId, offset: offset === null ? null : offset + start, ...common };
      start += length;
    }
  }
}
