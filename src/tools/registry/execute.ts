import type { Logger } from 'pino';
import { z } from 'zod';
import { ForbiddenError, NotFoundError } from '../../api/errors.ts';
import { parseId } from '../../api/ids.ts';
import { json, parseInput, text } from '../../api/input.ts';
import { notFoundOrForbidden } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { raceAbort } from '../../engine/abort.ts';
import { mayBeRounded } from '../../engine/exact-json.ts';
import type { ToolOutcome } from '../../engine/ports.ts';
import { boundResult } from '../../engine/tool-result.ts';
import { refuseRoles, type Tool, type ToolContext } from '../contract/tool.ts';
import { maxJsonLength } from '../parameters/parameters.ts';
import type { ToolRegistry } from './registry.ts';

const maxErrorLength = 20_000;

const executeInput = z.strictObject({
  name: text(1, 64),
  arguments: json(maxJsonLength)
    .refine(
      (value): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value),
      'must be a JSON object',
    )
    .refine(
      (value) => !holdsRounded(value),
      'must hold no whole number beyond ±9,007,199,254,740,991, which JSON rounds: give it as text',
    ),
  conversationId: z.string().nullish(),
});

/** Whether a number in it may have been another one when it was sent. By hand: it may be nested deep. */
function holdsRounded(value: unknown): boolean {
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (mayBeRounded(next)) return true;
    if (typeof next === 'object' && next !== null) for (const part of Object.values(next)) open.push(part);
  }
  return false;
}

/** What a tool that was called directly came back with. */
export interface ToolResult {
  readonly name: string;
  readonly ok: boolean;
  /** No longer than the tool's limit; null where it failed. */
  readonly result: unknown;
  /** What it failed of, as a model would be told. */
  readonly error: string | null;
  /** Milliseconds. */
  readonly durationMs: number;
}

/**
 * Runs a tool of the viewer's tenant as the viewer. A tool that needs approval runs: who calls it is the person.
 * @param input ExecuteToolInput
 * @param left aborts when the client leaves: the call ends, as it does when the server closes
 * @returns also where the tool failed, hung, or did not take the arguments: then `ok` is false
 * @throws {RateLimitedError} beyond RATE_LIMIT_TOOLS
 * @throws {BadUserInputError} naming the field
 * @throws {NotFoundError} for a tool that there is not, {@link ForbiddenError} for one that needs another role; both
 *   for the conversation
 */
export async function executeTool(
  viewer: Viewer,
  tools: ToolRegistry,
  input: unknown,
  left: AbortSignal | null = null,
): Promise<ToolResult> {
  const { db, callLimit, closing, calls } = tools.deps;
  await callLimit.take(viewer);
  const given = parseInput(executeInput, input, ['input']);
  const conversationId = given.conversationId == null ? null : await findConversation(viewer, db, given.conversationId);
  const [tool] = await tools.findTools(viewer, [given.name], 'person');
  if (tool === undefined) throw new NotFoundError(`There is no tool named ${JSON.stringify(given.name)}.`);
  const refusal = refuseRoles(viewer, tool.requiredRoles);
  if (refusal !== null) throw new ForbiddenError(refusal);

  const began = performance.now();
  const ended = AbortSignal.any(left === null ? [closing] : [closing, left]);
  const call = callInTime(tool, given.arguments, { viewer, db, conversationId, ended, logger: tools.deps.logger });
  calls.add(call);
  const outcome = await call.finally(() => calls.delete(call));
  const durationMs = Math.round(performance.now() - began);
  if (!outcome.ok) {
    return { name: tool.name, ok: false, result: null, error: outcome.error.slice(0, maxErrorLength), durationMs };
  }
  const { result } = boundResult(outcome.result, tool.maxResultLength);
  return { name: tool.name, ok: true, result, error: null, durationMs };
}

interface DirectCall extends Pick<ToolContext, 'viewer' | 'db' | 'conversationId'> {
  /** Aborts when nobody waits for it any more. */
  readonly ended: AbortSignal;
  readonly logger: Logger;
}

/** Never throws: what goes wrong with a tool is an outcome. */
async function callInTime(tool: Tool, args: unknown, { ended, logger, ...caller }: DirectCall): Promise<ToolOutcome> {
  const signal = AbortSignal.any([ended, AbortSignal.timeout(tool.timeoutMs)]);
  try {
    // Where it has ended already, the tool is not begun.
    signal.throwIfAborted();
    const context = { ...caller, runId: null, callId: null, agentName: null, signal };
    return await raceAbort(tool.call(args, context), signal);
  } catch (error) {
    if (ended.aborted) return { ok: false, error: 'The call was ended: the server stops, or the client left.' };
    if (signal.aborted) return { ok: false, error: `No answer within ${tool.timeoutMs / 1000} seconds.` };
    // What a tool throws may hold secrets of its system.
    logger.warn({ tool: tool.name, failure: error instanceof Error ? error.name : typeof error }, 'a tool failed');
    return { ok: false, error: 'The tool failed.' };
  }
}

/** The row id of a conversation of the viewer. */
async function findConversation(viewer: Viewer, db: Db, id: string): Promise<string> {
  const row = parseId('Conversation', id, ['input', 'conversationId']);
  const { tenantId, userId } = viewer;
  const select = { tenantId: true, userId: true };
  const owner = await db.conversation.findUnique({ where: { id: row }, select });
  if (owner?.tenantId === tenantId && owner.userId === userId) return row;
  throw notFoundOrForbidden(viewer, `conversation ${id}`, owner);
}
