import { formatId } from '../../api/ids.ts';
import { MessageRef } from '../../conversations/graphql/messages.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import type { RunEvent as LogEvent } from '../../log/event.ts';
import { readEndedRun } from '../read/deleted-run.ts';
import { loadAgent, readRun, readRunMessage } from '../read/read.ts';
import { Handoff, RoutingDecision, RunError, ToolCall } from './records.ts';
import { RunRef } from './run-ref.ts';

type EventOf<Type extends LogEvent['type']> = Extract<LogEvent, { type: Type }>;

/** The interface of all events of a run. */
export const RunEvent = builder.interfaceRef<LogEvent>('RunEvent').implement({
  description:
    'Something that happened in a run. seq starts at 1 and grows by at least 1 per event of a run. Where events were merged, seq is that of the last one merged.',
  resolveType: (event) => event.type,
  fields: (t) => ({
    seq: t.exposeInt('seq', { description: 'Its place in the run. Pass it as `after` to go on from here.' }),
    runId: t.id({ description: 'The run it belongs to.', resolve: (event) => formatId('Run', event.runId) }),
    at: t.field({ type: 'DateTime', description: 'When it happened.', resolve: (event) => new Date(event.at) }),
  }),
});

builder.objectRef<EventOf<'RunStarted'>>('RunStarted').implement({
  interfaces: [RunEvent],
  description: 'The turn began. The user message is stored.',
  fields: (t) => ({
    run: t.prismaField({
      type: RunRef,
      description: 'The run, as it is now.',
      resolve: (query, event, _args, context) => readRun(context.viewer, context.db, event.runId, query),
    }),
    userMessage: t.prismaField({
      type: MessageRef,
      description: 'What it answers.',
      resolve: (query, event, _args, context) => readRunMessage(context.viewer, context.db, event.userMessageId, query),
    }),
  }),
});

builder.objectRef<EventOf<'RoutingDecided'>>('RoutingDecided').implement({
  interfaces: [RunEvent],
  description: 'An agent got the floor.',
  fields: (t) => ({
    decision: t.expose('decision', { type: RoutingDecision, description: 'Who, and why.' }),
  }),
});

builder.objectRef<EventOf<'MessageStarted'>>('MessageStarted').implement({
  interfaces: [RunEvent],
  description: 'An agent begins to write a message.',
  fields: (t) => ({
    messageId: t.id({ description: 'The message.', resolve: (event) => formatId('Message', event.messageId) }),
    agent: t.field({
      type: AgentRef,
      description: 'Who writes it.',
      resolve: (event, _args, context) => loadAgent(context.agents, event.agentId),
    }),
  }),
});

builder.objectRef<EventOf<'TextDelta'>>('TextDelta').implement({
  interfaces: [RunEvent],
  description:
    'Text of a message. Deltas of one message joined in order are its content, exactly. A delta holds one or more tokens: those that queued up while the last event was on its way. offset is where it starts, in UTF-16 code units, so that text = text.slice(0, offset) + delta is right however often an event is applied.',
  fields: (t) => ({
    messageId: t.id({ description: 'The message.', resolve: (event) => formatId('Message', event.messageId) }),
    offset: t.exposeInt('offset', { description: 'Where it starts in the message, in UTF-16 code units.' }),
    delta: t.exposeString('delta', { description: 'The text.' }),
  }),
});

builder.objectRef<EventOf<'ReasoningDelta'>>('ReasoningDelta').implement({
  interfaces: [RunEvent],
  description: 'What the model thinks, where its provider tells. It is not stored as a message.',
  fields: (t) => ({ delta: t.exposeString('delta', { description: 'The text.' }) }),
});

builder.objectRef<EventOf<'TextRetracted'>>('TextRetracted').implement({
  interfaces: [RunEvent],
  description: 'The text of this message from `length` characters on is void: a retry, or an output guardrail.',
  fields: (t) => ({
    messageId: t.id({ description: 'The message.', resolve: (event) => formatId('Message', event.messageId) }),
    length: t.exposeInt('length', { description: 'How much of it stays, in UTF-16 code units.' }),
  }),
});

builder.objectRef<EventOf<'ToolCallStarted'>>('ToolCallStarted').implement({
  interfaces: [RunEvent],
  description: 'A tool is being called.',
  fields: (t) => ({ toolCall: t.expose('toolCall', { type: ToolCall, description: 'The call, as it was then.' }) }),
});

builder.objectRef<EventOf<'ToolCallCompleted'>>('ToolCallCompleted').implement({
  interfaces: [RunEvent],
  description: 'A tool call has ended, one way or another.',
  fields: (t) => ({ toolCall: t.expose('toolCall', { type: ToolCall, description: 'The call with its result.' }) }),
});

builder.objectRef<EventOf<'ApprovalRequested'>>('ApprovalRequested').implement({
  interfaces: [RunEvent],
  description:
    'A tool call waits for a person: answer with approveToolCall. The run is REQUIRES_ACTION until all of its calls that wait have their answer, and no process holds it; the stream stays open. What follows is ToolCallStarted where it was approved, ToolCallCompleted where it was denied or nobody decided in time.',
  fields: (t) => ({ toolCall: t.expose('toolCall', { type: ToolCall, description: 'The call, as it waits.' }) }),
});

builder.objectRef<EventOf<'HandoffOccurred'>>('HandoffOccurred').implement({
  interfaces: [RunEvent],
  description: 'One agent gave the floor to another.',
  fields: (t) => ({
    handoff: t.field({
      type: Handoff,
      description: 'From whom to whom, and why.',
      resolve: (event) => ({ ...event, at: event.happenedAt }),
    }),
  }),
});

builder.objectRef<EventOf<'MessageCompleted'>>('MessageCompleted').implement({
  interfaces: [RunEvent],
  description: 'A message is written and stored, whole or PARTIAL.',
  fields: (t) => ({
    message: t.prismaField({
      type: MessageRef,
      description: 'The message as it is stored.',
      resolve: (query, event, _args, context) => readRunMessage(context.viewer, context.db, event.messageId, query),
    }),
  }),
});

builder.objectRef<EventOf<'RunCompleted'>>('RunCompleted').implement({
  interfaces: [RunEvent],
  description: 'Terminal: the turn is over.',
  fields: (t) => ({
    run: t.prismaField({
      type: RunRef,
      description: 'The run as it ended.',
      resolve: (query, event, _args, context) => readEndedRun(context.viewer, context.db, event, query),
    }),
  }),
});

builder.objectRef<EventOf<'RunFailed'>>('RunFailed').implement({
  interfaces: [RunEvent],
  description: 'Terminal: the turn failed. The text so far is kept.',
  fields: (t) => ({
    run: t.prismaField({
      type: RunRef,
      description: 'The run as it ended.',
      resolve: (query, event, _args, context) => readEndedRun(context.viewer, context.db, event, query),
    }),
    error: t.expose('failure', { type: RunError, description: 'Why.' }),
  }),
});

builder.objectRef<EventOf<'RunCancelled'>>('RunCancelled').implement({
  interfaces: [RunEvent],
  description: 'Terminal: somebody cancelled the turn. The text so far is kept.',
  fields: (t) => ({
    run: t.prismaField({
      type: RunRef,
      description: 'The run as it ended.',
      resolve: (query, event, _args, context) => readEndedRun(context.viewer, context.db, event, query),
    }),
  }),
});
