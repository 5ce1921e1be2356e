import { setImmediate as nextLoopTurn } from 'node:timers/promises';
import type { TurnToolCall } from '../engine/events.ts';
import type { RunEvent } from './event.ts';

/** So many events are completed before the event loop turns. */
const maxEventsAtOnce = 5_000;

/** An event as archives hold it. Those of earlier versions lack what is null here. */
export type ArchivedEvent = ArchivedForm<RunEvent>;

type ArchivedForm<Event> = Event extends { readonly toolCall: TurnToolCall }
  ? Omit<Event, 'toolCall'> & { readonly toolCall: Omit<TurnToolCall, 'id'> & { readonly id: string | null } }
  : Event extends { readonly type: 'ReasoningDelta' }
    ? Omit<Event, 'messageId' | 'offset'> & { readonly messageId: string | null; readonly offset: number | null }
    : Event extends { readonly type: 'HandoffOccurred' }
      ? Omit<Event, 'handoffId' | 'happenedSeq'> & {
          readonly handoffId: string | null;
          readonly happenedSeq: number | null;
        }
      : Event;

/** The ids of a run's rows. */
export interface StoredIds {
  /** The row ids of its tool calls, by the ids that the model chose. */
  readonly toolCalls: ReadonlyMap<string, string>;
  /** The row ids of its handoffs, in their order. */
  readonly handoffs: readonly string[];
}

/**
 * Adds to the events of an archive what earlier versions did not store: the row ids of calls and handoffs, and the
 * message and offset of reasoning, which belongs to the message that starts after it.
 * @param readIds called only if something is missing
 * @returns the events; a call or handoff whose row does not exist is left out
 */
export async function completeEvents(
  archived: ArchivedEvent[],
  readIds: () => Promise<StoredIds>,
): Promise<RunEvent[]> {
  if (archived.every(isComplete)) return archived;
  const ids = archived.some(lacksId) ? await readIds() : null;
  const reasoning = new EarlierReasoning(archived);
  let handoffs = 0;
  const complete = (event: ArchivedEvent, index: number): RunEvent[] => {
    switch (event.type) {
      case 'ToolCallStarted':
      case 'ToolCallCompleted':
      case 'ApprovalRequested': {
        const id = event.toolCall.id ?? ids?.toolCalls.get(event.toolCall.callId);
        return id === undefined ? [] : [{ ...event, toolCall: { ...event.toolCall, id } }];
      }
      case 'HandoffOccurred': {
        const handoffId = event.handoffId ?? ids?.handoffs[handoffs];
        handoffs += 1;
        const happenedSeq = event.happenedSeq ?? event.seq;
        return handoffId === undefined ? [] : [{ ...event, handoffId, happenedSeq }];
      }
      case 'ReasoningDelta':
        return [{ ...event, ...reasoning.locate(event, index) }];
      default:
        return [event];
    }
  };
  const events: RunEvent[] = [];
  for (const [index, event] of archived.entries()) {
    if (index % maxEventsAtOnce === maxEventsAtOnce - 1) await nextLoopTurn();
    for (const completed of complete(event, index)) events.push(completed);
  }
  return events;
}

/** Whether an event lacks nothing: those of today do not. */
export function isComplete(event: ArchivedEvent): event is RunEvent {
  return !lacksId(event) && (event.type !== 'ReasoningDelta' || event.messageId !== null);
}

function lacksId(event: ArchivedEvent): boolean {
  if (event.type === 'HandoffOccurred') return event.handoffId === null;
  return 'toolCall' in event && event.toolCall.id === null;
}

type ArchivedReasoning = Extract<ArchivedEvent, { readonly type: 'ReasoningDelta' }>;

/** Finds out to which message the reasoning of earlier versions belongs, and where it stands in it. */
class EarlierReasoning {
  readonly #archived: readonly ArchivedEvent[];
  #messageId: string | null = null;
  #offset = 0;
  /** The position up to which the message is known. */
  #knownUntil = -1;

  constructor(archived: readonly ArchivedEvent[]) {
    this.#archived = archived;
  }

  /** @param index the position of the event in the archive; they are asked for in their order */
  locate(event: ArchivedReasoning, index: number): { readonly messageId: string; readonly offset: number } {
    const { messageId, offset } = event;
    if (messageId !== null && offset !== null) return { messageId, offset };
    if (index > this.#knownUntil) {
      const start = this.#archived.findIndex((later, position) => position > index && later.type === 'MessageStarted');
      const started = this.#archived[start];
      this.#messageId = started?.type === 'MessageStarted' ? started.messageId : null;
      this.#knownUntil = start === -1 ? this.#archived.length : start;
      this.#offset = 0;
    }
    const found = { messageId: this.#messageId ?? event.runId, offset: this.#offset };
    this.#offset += event.delta.length;
    return found;
  }
}
