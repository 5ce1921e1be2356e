import { z } from 'zod';
import { explainAbsence } from '../access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../db.ts';
import { orAborted } from '../engine/abort.ts';
import type { ToolOutcome } from '../engine/ports.ts';
import { boundResult } from '../engine/tool-result.ts';
import { ForbiddenError, NotFoundError } from '../errors.ts';
import { parseId } from '../ids.ts';
import { json, parseInput, text } from '../input.ts';
import { maxJsonLength } from './parameters.ts';
import type { ToolRegistry } from './registry.ts';
import { refuseRoles, type Tool, type ToolContext } from './tool.ts';

const maxErrorLength = 20_000;

const executeInput = z.strictObject({
  name: text(1, 64),
  arguments: json(maxJsonLength).refine(
    (value): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value),
    'must be a JSON object',
  ),
  conversationId: z.string().nullish(),
});

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
 * @returns also where the tool failed, hung, or did not take the arguments: then `ok` is false
 * @throws {RateLimitedError} beyond RATE_LIMIT_TOOLS
 * @throws {BadUserInputError} naming the field
 * @throws {NotFoundError} for a tool that there is not, {@link ForbiddenError} for one that needs another role; both
 *   for the conversation
 */
export async function executeTool(viewer: Viewer, tools: ToolRegistry, input: unknown): Promise<ToolResult> {
  const { db, callLimit, logger } = tools.host;
  await callLimit.take(viewer);
  const given = parseInput(executeInput, input, ['input']);
  const conversationId = given.conversationId == null ? null : await findConversation(viewer, db, given.conversationId);
  const [tool] = await tools.findTools(viewer, [given.name], 'person');
  if (tool === undefined) throw new NotFoundError(`There is no tool named ${JSON.stringify(given.name)}.`);
  const refusal = refuseRoles(viewer, tool.requiredRoles);
  if (refusal !== null) throw new ForbiddenError(refusal);

  const began = performance.now();
  const signal = AbortSignal.timeout(tool.timeoutMs);
  const context = { viewer, db, conversationId, runId: null, callId: null, agentName: null, signal };
  const outcome = await callInTime(tool, given.arguments, context).catch((error: unknown): ToolOutcome => {
    // What a tool throws may hold secrets of its system.
    logger.warn({ tool: tool.name, failure: error instanceof Error ? error.name : typeof error }, 'a tool failed');
    return { ok: false, error: 'The tool failed.' };
  });
  const durationMs = Math.round(performance.now() - began);
  if (!outcome.ok) {
    return { name: tool.name, ok: false, result: null, error: outcome.error.slice(0, maxErrorLength), durationMs };
  }
  const { result } = boundResult(outcome.result, tool.maxResultLength);
  return { name: tool.name, ok: true, result, error: null, durationMs };
}

async function callInTime(tool: Tool, args: unknown, context: ToolContext): Promise<ToolOutcome> {
  try {
    return await orAborted(tool.call(args, context), context.signal);
  } catch (error) {
    if (!context.signal.aborted) throw error;
    return { ok: false, error: `No answer within ${tool.timeoutMs / 1000} seconds.` };
  }
}

/** The row id of a conversation of the viewer. */
async function findConversation(viewer: Viewer, db: Db, id: string): Promise<string> {
  const row = parseId('Conversation', id, ['input', 'conversationId']);
  const { tenantId, userId } = viewer;
  const select = { tenantId: true, userId: true };
  const owner = await db.conversation.findUnique({ where: { id: row }, select });
  if (owner?.tenantId === tenantId && owner.userId === userId) return row;
  throw explainAbsence(viewer, `conversation ${id}`, owner);
}
