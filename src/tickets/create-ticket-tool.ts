import { formatId } from '../api/ids.ts';
import { type BuiltInTool, defineTool } from '../tools/registry/builtin.ts';
import { createTicketOfAgent } from './create.ts';
import { toolInput } from './input.ts';
import type { TicketRuntime } from './runtime.ts';

/** The tool with which agents open tickets. One call opens one ticket, however often it is carried out. */
export function createTicketTool(runtime: TicketRuntime): BuiltInTool {
  return defineTool({
    name: 'create_ticket',
    description:
      'Opens a ticket, which a person will pick up: use it if the user asks for it, or for what you cannot do yourself. Returns its number, to be told to the user.',
    schema: toolInput,
    timeoutMs: 10_000,
    isIdempotent: true,
    run: async ({ priority = 'NORMAL', category = null, ...fields }, context) => {
      const { viewer, agentId, conversationId, runId, callId } = context;
      const call = runId === null || callId === null ? null : { runId, callId };
      const ticket = await createTicketOfAgent(viewer, runtime, {
        ...{ ...fields, priority, category, agentId, conversationId, call },
      });
      const { id, number, subject, status } = ticket;
      return { id: formatId('Ticket', id), number, subject, status, priority: ticket.priority };
    },
  });
}
