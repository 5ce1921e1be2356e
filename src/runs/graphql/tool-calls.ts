import { formatId } from '../../api/ids.ts';
import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { MessageRef, ToolCallStatus } from '../../conversations/graphql/message-types.ts';
import type { TurnToolCall } from '../../engine/events.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { includeUnder, loadNode, selectUnder, toNodes } from '../../graphql/selection.ts';
import {
  findToolCall,
  listPendingApprovals,
  readCallingRun,
  readCallMessages,
  type ToolCallShape,
  toolCallColumns,
} from '../read/tool-calls.ts';
import { RunRef } from './run-ref.ts';

/**
 * Tool calls in the graph. Its columns are not exposed but resolved: Pothos would read exposed columns of what an event
 * holds from the row, which has changed since.
 */
export const ToolCallRef = builder.prismaObject('ToolCall', {
  select: toolCallColumns,
  description:
    'One call of a tool by a model. It is one object under one id in events, in lists and in replays; an event shows it as it was at that time.',
  fields: (t) => ({
    callId: t.string({
      resolve: (call) => call.callId,
      description:
        'The id of the call that the model chose, such as `call_8fK2`. It is unique within its run only: use `id` to refer to the call.',
    }),
    run: t.prismaField({
      type: RunRef,
      description:
        'The run that made the call. For a call that `createMessage` imported, a completed run that holds nothing and that cannot be read by its id.',
      resolve: (query, call, _args, context) => readCallingRun(context.viewer, context.db, call, query),
    }),
    message: t.field({
      type: MessageRef,
      nullable: true,
      description:
        'The message to which the call belongs: that of its model step or, if the step wrote no text, the next message of the run. Null until that message is complete.',
      resolve: batchField(
        ({ rowId }: ToolCallShape) => rowId,
        (calls: readonly ToolCallShape[], _args, context, info) =>
          readCallMessages(context.viewer, context, calls, includeUnder(context, info, 'Message')),
      ),
    }),
    name: t.string({ resolve: (call) => call.name, description: 'The name of the tool. Example: `lookup_order`.' }),
    arguments: t.string({
      resolve: (call) => call.arguments,
      description:
        'The arguments as the model wrote them, as JSON text. Example: `{"orderNumber":"1042"}`. The text is invalid JSON if the model made a mistake.',
    }),
    editedArguments: t.string({
      nullable: true,
      resolve: (call) => call.editedArguments,
      description:
        'The arguments with which the user approved the call in place of the model’s, as JSON text. The tool ran with these. Null if they were not changed.',
    }),
    decidedBy: t.id({
      nullable: true,
      resolve: (call) => call.decidedBy,
      description: 'The id of the user who approved or denied the call. Null if nobody did.',
    }),
    approvalExpiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When the call is cancelled if nobody has decided on it. Null if it does not wait for a decision, which is every status but AWAITING_APPROVAL.',
      resolve: (call) => (call.status === 'AWAITING_APPROVAL' ? call.approvalExpiresAt : null),
    }),
    result: t.field({
      resolve: (call) => call.result,
      type: 'JSON',
      nullable: true,
      description: 'The result of the tool. Null if it has none.',
    }),
    status: t.field({ resolve: (call) => call.status, type: ToolCallStatus, description: 'The current state.' }),
    error: t.string({
      nullable: true,
      resolve: (call) => call.error,
      description: 'The cause of the failure. Null if it did not fail.',
    }),
    agent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'The agent that called the tool. Null if it is unknown.',
      resolve: (call, _args, context) => (call.agentId === null ? null : context.agents.load(call.agentId)),
    }),
    startedAt: t.field({
      resolve: (call) => call.startedAt,
      type: 'DateTime',
      nullable: true,
      description: 'When it started. Null if it has not started.',
    }),
    finishedAt: t.field({
      resolve: (call) => call.finishedAt,
      type: 'DateTime',
      nullable: true,
      description: 'When it ended. Null if it has not ended.',
    }),
  }),
});

builder.nodeRef(ToolCallRef, {
  id: { resolve: (call: typeof ToolCallRef.$inferType) => call.rowId },
  loadWithoutCache: (row, context, info) =>
    loadNode(
      findToolCall(
        context.viewer,
        context.db,
        formatId('ToolCall', row),
        ['id'],
        selectUnder(context, info, 'ToolCall'),
      ),
    ),
});

/** A tool call as an event tells of it. */
export function readEventCall(runId: string, { id: rowId, ...call }: TurnToolCall): ToolCallShape {
  return { ...call, rowId, runId, result: call.result ?? null };
}

builder.queryField('pendingApprovals', (t) =>
  t.connection(
    {
      type: ToolCallRef,
      description:
        'The tool calls that wait for the viewer’s decision, the oldest first. 50 per page by default, at most 100. Decide with `approveToolCall`.',
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listPendingApprovals(context.viewer, context, args, selectUnder(context, info, 'ToolCall', toNodes)),
    },
    { name: 'ToolCallConnection', description: 'One page of a list of tool calls.' },
    { name: 'ToolCallEdge', description: 'A tool call in a list, with its cursor.' },
  ),
);
