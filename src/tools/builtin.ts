import { z } from 'zod';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../db.ts';

/** What a tool may know of the turn that calls it. */
export interface ToolContext {
  readonly viewer: Viewer;
  readonly db: Db;
  readonly conversationId: string | null;
  readonly agentName: string | null;
  readonly signal: AbortSignal;
}

/** A tool that is code. Its permissions are the viewer's, checked in `run`, at each call. */
export interface BuiltInTool {
  readonly name: string;
  readonly description: string;
  readonly schema: z.ZodObject;
  readonly timeoutMs: number;
  readonly run: (args: unknown, context: ToolContext) => Promise<unknown>;
}

/** Binds `run` to what its schema gives. */
function defineTool<Schema extends z.ZodObject>(tool: {
  name: string;
  description: string;
  schema: Schema;
  timeoutMs: number;
  run: (args: z.output<Schema>, context: ToolContext) => Promise<unknown>;
}): BuiltInTool {
  return { ...tool, run: (args, context) => tool.run(tool.schema.parse(args), context) };
}

const timeZones = new Set([...Intl.supportedValuesOf('timeZone'), 'UTC']);

const currentTime = defineTool({
  name: 'current_time',
  description: 'The current date and time, in a time zone if one is given.',
  schema: z.strictObject({
    timeZone: z
      .string()
      .refine((name) => timeZones.has(name), 'must be an IANA time zone such as Europe/Berlin')
      .optional()
      .describe('An IANA time zone such as Europe/Berlin. UTC where none is given.'),
  }),
  timeoutMs: 1_000,
  run: async ({ timeZone = 'UTC' }) => {
    const now = new Date();
    const local = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'long', timeZone }).format(now);
    return { iso: now.toISOString(), timeZone, local };
  },
});

const echoContext = defineTool({
  name: 'echo_context',
  description: 'What the server knows about this conversation: the user, the tenant and the agent.',
  schema: z.strictObject({}),
  timeoutMs: 1_000,
  run: async (_args, { viewer, conversationId, agentName }) => ({
    userId: viewer.userId,
    tenantId: viewer.tenantId,
    roles: viewer.roles,
    conversationId,
    agent: agentName,
  }),
});

const lookupOrder = defineTool({
  name: 'lookup_order',
  description: 'Looks up an order of the shop by its number: item, status, total and expected arrival.',
  schema: z.strictObject({
    orderNumber: z
      .string()
      .trim()
      .regex(/^#?\d{1,12}$/, 'must be the digits of an order number')
      .describe('The order number, e.g. 1042.'),
  }),
  timeoutMs: 5_000,
  run: async ({ orderNumber }, { viewer, db }) => {
    const number = orderNumber.replace('#', '');
    const order = await db.order.findUnique({
      where: { tenantId_number: { tenantId: viewer.tenantId, number } },
      omit: { tenantId: true },
    });
    return order ?? { error: `There is no order ${number}.` };
  },
});

/** The tools that come with the server. */
export const builtInTools: readonly BuiltInTool[] = [currentTime, echoContext, lookupOrder];
