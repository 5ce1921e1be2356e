import { z } from 'zod';
import { SwitchboardError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import type { Order } from '../../generated/prisma/client.ts';
import { observeToolCall } from '../../telemetry/tool-call.ts';
import { hashDefinition } from '../contract/definition-hash.ts';
import type { Tool, ToolContext } from '../contract/tool.ts';
import { readArguments } from '../parameters/arguments.ts';

/** What a built-in tool may know about its caller, and ask about it. */
export interface BuiltInContext extends ToolContext {
  /** The row id of the project of the conversation; null: it is in none, or the call is in no conversation. */
  findProject(): Promise<string | null>;
}

/**
 * A tool that is code. Its permissions are the viewer's, checked in `run`, at each call. The nouns above the tools define
 * theirs with {@link defineTool}, and `boot` gives them to the registry (`ToolDependencies.contributed`).
 */
export interface BuiltInTool {
  readonly name: string;
  readonly description: string;
  readonly schema: z.ZodObject;
  readonly timeoutMs: number;
  /** Whether a person has to approve each call. */
  readonly requiresApproval: boolean;
  /** Whether a call may be made again if its outcome was lost. */
  readonly isIdempotent: boolean;
  /**
   * Runs it.
   * @throws {SwitchboardError} whose message the model is given as the error of the call
   * @throws unexpected errors, which are shown to nobody
   */
  readonly run: (args: unknown, context: BuiltInContext) => Promise<unknown>;
}

/** A built-in tool whose `run` is given what its schema makes of the arguments. */
export function defineTool<Schema extends z.ZodObject>(tool: {
  name: string;
  description: string;
  schema: Schema;
  timeoutMs: number;
  requiresApproval?: boolean;
  isIdempotent: boolean;
  run: (args: z.output<Schema>, context: BuiltInContext) => Promise<unknown>;
}): BuiltInTool {
  return { requiresApproval: false, ...tool, run: (args, context) => tool.run(tool.schema.parse(args), context) };
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
  isIdempotent: true,
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
  isIdempotent: true,
  run: async (_args, { viewer, conversationId, agentName }) => ({
    userId: viewer.userId,
    tenantId: viewer.tenantId,
    roles: viewer.roles,
    conversationId,
    agent: agentName,
  }),
});

const orderSchema = z.strictObject({
  orderNumber: z
    .string()
    .trim()
    .regex(/^#?\d{1,12}$/, 'must be the digits of an order number')
    .describe('The order number, e.g. 1042.'),
});

const lookupOrder = defineTool({
  name: 'lookup_order',
  description: 'Looks up an order of the shop by its number: item, status, total and expected arrival.',
  schema: orderSchema,
  timeoutMs: 5_000,
  isIdempotent: true,
  run: async ({ orderNumber }, { viewer, db }) => {
    const number = orderNumber.replace('#', '');
    const order = await db.order.findUnique({
      where: { tenantId_number: { tenantId: viewer.tenantId, number } },
    });
    return order === null ? { error: `There is no order ${number}.` } : showOrder(order);
  },
});

const refundOrder = defineTool({
  name: 'refund_order',
  description: 'Refunds an order of the shop; a person has to approve it.',
  schema: orderSchema,
  timeoutMs: 5_000,
  requiresApproval: true,
  // A second call finds the order refunded, and says when that was.
  isIdempotent: false,
  run: async ({ orderNumber }, { viewer: { tenantId }, db }) => {
    const number = orderNumber.replace('#', '');
    // Read and written in one statement: of two refunds at once, one finds it refunded.
    const [order] = await db.order.updateManyAndReturn({
      where: { tenantId, number, NOT: { status: 'refunded' } },
      data: { status: 'refunded', eta: null, refundedAt: new Date() },
    });
    if (order !== undefined) return showOrder(order);
    const refunded = await db.order.findUnique({ where: { tenantId_number: { tenantId, number } } });
    return { error: refunded === null ? `There is no order ${number}.` : describeRefund(refunded) };
  },
});

/** An order as models are given it. */
function showOrder({ tenantId: _tenantId, refundedAt, ...order }: Order) {
  return refundedAt === null ? order : { ...order, refundedAt: refundedAt.toISOString() };
}

function describeRefund({ number, item, total, refundedAt }: Order): string {
  const at = refundedAt === null ? '' : `, on ${refundTime.format(refundedAt)} UTC`;
  return `Order ${number} (${item}) was refunded already: ${total}${at}. Nothing was refunded again.`;
}

const refundTime = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' });

/** The tools that come with the server and need no noun above the tools. */
export const builtInTools: readonly BuiltInTool[] = [currentTime, echoContext, lookupOrder, refundOrder];

const maxResultLength = 20_000;

/**
 * A built-in tool as the registry has it.
 * @param findProject the row id of the project of one of the viewer's conversations; null: it is in none
 */
export function wrapBuiltIn(
  tool: BuiltInTool,
  findProject: (viewer: Viewer, db: Db, conversationId: string) => Promise<string | null>,
): Tool {
  const { $schema: _dialect, ...parameters } = z.toJSONSchema(tool.schema, { io: 'input' });
  const { name, description, timeoutMs, requiresApproval, isIdempotent } = tool;
  const read = (args: unknown): { readonly args: unknown } | { readonly error: string } => {
    const { error, data } = tool.schema.safeParse(readArguments(args) ?? args);
    return error ? { error: `The arguments do not fit the schema. ${z.prettifyError(error)}` } : { args: data };
  };
  return {
    name,
    description,
    parameters,
    requiresApproval,
    isIdempotent,
    requiredRoles: [],
    source: 'BUILTIN',
    problem: null,
    timeoutMs,
    maxResultLength,
    // Its name says what it does: another version of the server may describe its arguments in other words.
    hashDefinition: () => hashDefinition({ source: 'BUILTIN', name }),
    check(args) {
      const checked = read(args);
      return 'error' in checked ? checked.error : null;
    },
    async call(args, context) {
      const checked = read(args);
      if ('error' in checked) return { ok: false, error: checked.error };
      const call = { name, source: 'BUILTIN', ...context, arguments: args } as const;
      const { viewer, db, conversationId } = context;
      const builtIn: BuiltInContext = {
        ...context,
        findProject: async () => (conversationId === null ? null : findProject(viewer, db, conversationId)),
      };
      return observeToolCall(call, async () => {
        try {
          return { ok: true, result: await tool.run(checked.args, builtIn) };
        } catch (error) {
          if (error instanceof SwitchboardError) return { ok: false, error: error.message };
          throw error;
        }
      });
    },
  };
}
