import { formatId } from '../../api/ids.ts';
import { MessageRef } from '../../conversations/graphql/message-types.ts';
import { MessageEdge } from '../../conversations/graphql/types.ts';
import { buildMessageEdge } from '../../conversations/message-page.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { includeUnder } from '../../graphql/selection.ts';
import { GuardrailResult } from '../../guardrails/graphql/types.ts';
import type { RunEvent as LogEvent } from '../../log/event.ts';
import { readEventMessage, readEventRun, readStartedMessage } from '../read/event-rows.ts';
import { loadAgent } from '../read/read.ts';
import { HandoffRef, RoutingDecision, RunError } from './records.ts';
import { RunRef } from './run-ref.ts';
import { readEventCall, ToolCallRef } from './tool-calls.ts';

type EventOf<Type extends LogEvent['type']> = Extract<LogEvent, { type: Type }>;

const appendIt = 'Append it to a cached list in ascending order.';

/** The interface of all events of a run. */
export const RunEvent = builder.interfaceRef<LogEvent>('RunEvent').implement({
  description:
    'An event of a run. `seq` starts at 1 and grows with every event. The terminal event is the last one: RunCompleted, RunFailed or RunCancelled. If several events were merged into one, `seq` is that of the last of them.',
  resolveType: (event) => event.type,
  fields: (t) => ({
    seq: t.exposeInt('seq', {
      description: 'The position of the event in its run. Pass it as `after` to continue after this event.',
    }),
    runId: t.id({ description: 'The id of the run.', resolve: (event) => formatId('Run', event.runId) }),
    at: t.field({ type: 'DateTime', description: 'When the event occurred.', resolve: (event) => new Date(event.at) }),
  }),
});

builder.objectRef<EventOf<'RunQueued'>>('RunQueued').implement({
  interfaces: [RunEvent],
  description:
    'The turn waits until the turns before it in the conversation have ended. It is sent immediately, so that the turn can be cancelled with `cancelRun` while it waits. RunStarted follows when the turn begins.',
  fields: (t) => ({
    run: t.prismaField({
      type: RunRef,
      description: 'The current state of the run.',
      resolve: (query, event, _args, context) => readEventRun(context.viewer, context.db, event, query),
    }),
    position: t.exposeInt('position', {
      description:
        'The place in the queue that the turn was given; 1 is the next to begin. `run.queuePosition` is the current one; `RunChanged` of the conversation reports when it changes.',
    }),
  }),
});

builder.objectRef<EventOf<'RunStarted'>>('RunStarted').implement({
  interfaces: [RunEvent],
  description: 'The turn started. The user message is stored.',
  fields: (t) => ({
    run: t.prismaField({
      type: RunRef,
      description: 'The current state of the run.',
      resolve: (query, event, _args, context) => readEventRun(context.viewer, context.db, event, query),
    }),
    userMessage: t.prismaField({
      type: MessageRef,
      description: 'The user message that the turn answers.',
      resolve: (query, event, _args, context) =>
        readEventMessage(context.viewer, context, { event, id: event.userMessageId }, query),
    }),
    edge: t.field({
      type: MessageEdge,
      description: `The user message as an item of \`Conversation.messages\`. ${appendIt}`,
      resolve: async (event, _args, context, info) => {
        const include = includeUnder(context, info, 'Message', ['node']);
        return buildMessageEdge(
          await readEventMessage(context.viewer, context, { event, id: event.userMessageId }, include),
        );
      },
    }),
  }),
});

builder.objectRef<EventOf<'RoutingDecided'>>('RoutingDecided').implement({
  interfaces: [RunEvent],
  description: 'An agent was chosen to answer the turn.',
  fields: (t) => ({
    decision: t.expose('decision', { type: RoutingDecision, description: 'The chosen agent, and the reason.' }),
  }),
});

builder.objectRef<EventOf<'MessageStarted'>>('MessageStarted').implement({
  interfaces: [RunEvent],
  description: 'An agent started to write a message.',
  fields: (t) => ({
    messageId: t.id({ description: 'The message.', resolve: (event) => formatId('Message', event.messageId) }),
    agent: t.field({
      type: AgentRef,
      description: 'The agent that writes the message.',
      resolve: (event, _args, context) => loadAgent(context.agents, event.agentId),
    }),
    message: t.prismaField({
      type: MessageRef,
      description: 'The message as it started: STREAMING, without a text. What follows is applied to it.',
      resolve: (query, event, _args, context) => readStartedMessage(context.viewer, context, event, query),
    }),
    edge: t.field({
      type: MessageEdge,
      description: `The message, as it started, as an item of \`Conversation.messages\`. ${appendIt}`,
      resolve: async (event, _args, context, info) => {
        const include = includeUnder(context, info, 'Message', ['node']);
        return buildMessageEdge(await readStartedMessage(context.viewer, context, event, include));
      },
    }),
  }),
});

builder.objectRef<EventOf<'TextDelta'>>('TextDelta').implement({
  interfaces: [RunEvent],
  description:
    'The next piece of the text of a message. The deltas of a message, joined in order, are exactly its content. One delta holds one or more tokens, because tokens that arrive while an event is being sent are merged. Apply it as `text = text.slice(0, offset) + delta`: the result is right even if an event is applied twice.',
  fields: (t) => ({
    messageId: t.id({ description: 'The message.', resolve: (event) => formatId('Message', event.messageId) }),
    offset: t.exposeInt('offset', {
      description:
        'Where the delta starts in the text of the message, in UTF-16 code units (as `String.length` counts in JavaScript).',
    }),
    delta: t.exposeString('delta', { description: 'The text to append.' }),
  }),
});

builder.objectRef<EventOf<'ReasoningDelta'>>('ReasoningDelta').implement({
  interfaces: [RunEvent],
  description:
    'The next piece of the model’s reasoning, if its provider reveals it. Reasoning is not stored as a message. Apply it like the text of a message: `reasoning = reasoning.slice(0, offset) + delta`.',
  fields: (t) => ({
    messageId: t.id({
      description:
        'The message that the reasoning precedes. If the model writes no text after it, for example because it only calls tools, no such message is started.',
      resolve: (event) => formatId('Message', event.messageId),
    }),
    offset: t.exposeInt('offset', {
      description: 'Where the delta starts in the reasoning before that message, in UTF-16 code units.',
    }),
    delta: t.exposeString('delta', { description: 'The text to append.' }),
  }),
});

builder.objectRef<EventOf<'TextRetracted'>>('TextRetracted').implement({
  interfaces: [RunEvent],
  description:
    'Discard the text of this message after the first `length` code units: `text = text.slice(0, length)`. The model step is tried again, or a guardrail rejected its output.',
  fields: (t) => ({
    messageId: t.id({ description: 'The message.', resolve: (event) => formatId('Message', event.messageId) }),
    length: t.exposeInt('length', { description: 'How much of the text remains valid, in UTF-16 code units.' }),
  }),
});

builder.objectRef<EventOf<'ToolCallStarted'>>('ToolCallStarted').implement({
  interfaces: [RunEvent],
  description: 'A tool call started.',
  fields: (t) => ({
    toolCall: t.field({
      type: ToolCallRef,
      description: 'The tool call in its state at the time of the event.',
      resolve: (event) => readEventCall(event.runId, event.toolCall),
    }),
    messageId: t.id({
      nullable: true,
      description: 'The message of the call’s model step. Null if the step wrote no text.',
      resolve: ({ toolCall }) => (toolCall.messageId === null ? null : formatId('Message', toolCall.messageId)),
    }),
  }),
});

builder.objectRef<EventOf<'ToolCallCompleted'>>('ToolCallCompleted').implement({
  interfaces: [RunEvent],
  description: 'A tool call ended: it succeeded, failed, was denied or was cancelled.',
  fields: (t) => ({
    toolCall: t.field({
      type: ToolCallRef,
      description: 'The tool call with its result or error.',
      resolve: (event) => readEventCall(event.runId, event.toolCall),
    }),
    messageId: t.id({
      nullable: true,
      description: 'The message of the call’s model step. Null if the step wrote no text.',
      resolve: ({ toolCall }) => (toolCall.messageId === null ? null : formatId('Message', toolCall.messageId)),
    }),
  }),
});

builder.objectRef<EventOf<'ApprovalRequested'>>('ApprovalRequested').implement({
  interfaces: [RunEvent],
  description:
    'A tool call waits for the user’s decision: call `approveToolCall`. The run is REQUIRES_ACTION until all of its waiting calls are decided. The stream stays open. If the call is approved, ToolCallStarted follows. If it is denied, or nobody decides within APPROVAL_TTL_SECONDS (default 86,400), ToolCallCompleted follows.',
  fields: (t) => ({
    toolCall: t.field({
      type: ToolCallRef,
      description: 'The tool call that waits for the decision.',
      resolve: (event) => readEventCall(event.runId, event.toolCall),
    }),
  }),
});

builder.objectRef<EventOf<'HandoffOccurred'>>('HandoffOccurred').implement({
  interfaces: [RunEvent],
  description: 'One agent handed the conversation over to another, which is now the active agent.',
  fields: (t) => ({
    handoff: t.field({
      type: HandoffRef,
      description: 'The handoff: its agents and its reason.',
      resolve: ({ handoffId, runId, fromAgentId, toAgentId, reason, happenedAt, happenedSeq }) => {
        return { id: handoffId, runId, fromAgentId, toAgentId, reason, at: happenedAt, seq: happenedSeq };
      },
    }),
  }),
});

builder.objectRef<EventOf<'GuardrailTripped'>>('GuardrailTripped').implement({
  interfaces: [RunEvent],
  description:
    'A guardrail has flagged something. With the action BLOCK, RunFailed with the code GUARDRAIL_TRIPPED follows. With REDACT, the text that was and will be delivered is the redacted one. Reported once for each guardrail and text.',
  fields: (t) => ({
    result: t.field({
      type: GuardrailResult,
      description: 'Which guardrail, and what it decided.',
      resolve: ({ result }) => result,
    }),
  }),
});

builder.objectRef<EventOf<'MessageSteered'>>('MessageSteered').implement({
  interfaces: [RunEvent],
  description:
    'A message with `ifBusy: STEER` joined the run: the next model step is given it. It is in the list now, after what the run has written before.',
  fields: (t) => ({
    message: t.prismaField({
      type: MessageRef,
      description: 'The message of the user, as it is stored.',
      resolve: (query, event, _args, context) =>
        readEventMessage(context.viewer, context, { event, id: event.messageId, like: { role: 'USER' } }, query),
    }),
  }),
});

builder.objectRef<EventOf<'MessageCompleted'>>('MessageCompleted').implement({
  interfaces: [RunEvent],
  description: 'A message was finished and stored. Its status is COMPLETE, PARTIAL or REDACTED.',
  fields: (t) => ({
    message: t.prismaField({
      type: MessageRef,
      description: 'The message as it is stored.',
      resolve: (query, event, _args, context) =>
        readEventMessage(context.viewer, context, { event, id: event.messageId }, query),
    }),
  }),
});

builder.objectRef<EventOf<'RunCompleted'>>('RunCompleted').implement({
  interfaces: [RunEvent],
  description: 'The turn is complete. Terminal: this is the last event of the run.',
  fields: (t) => ({
    run: t.prismaField({
      type: RunRef,
      description: 'The final state of the run.',
      resolve: (query, event, _args, context) => readEventRun(context.viewer, context.db, event, query),
    }),
  }),
});

builder.objectRef<EventOf<'RunFailed'>>('RunFailed').implement({
  interfaces: [RunEvent],
  description:
    'The turn failed. The text up to that point is stored as PARTIAL. Terminal: this is the last event of the run.',
  fields: (t) => ({
    run: t.prismaField({
      type: RunRef,
      description: 'The final state of the run.',
      resolve: (query, event, _args, context) => readEventRun(context.viewer, context.db, event, query),
    }),
    error: t.expose('failure', { type: RunError, description: 'The cause of the failure.' }),
  }),
});

builder.objectRef<EventOf<'RunCancelled'>>('RunCancelled').implement({
  interfaces: [RunEvent],
  description:
    'The turn was cancelled. The text up to that point is stored as PARTIAL. Terminal: this is the last event of the run.',
  fields: (t) => ({
    run: t.prismaField({
      type: RunRef,
      description: 'The final state of the run.',
      resolve: (query, event, _args, context) => readEventRun(context.viewer, context.db, event, query),
    }),
  }),
});
