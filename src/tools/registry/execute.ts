import type { Logger } from 'pino';
import { z } from 'zod';
import { ForbiddenError, NotFoundError } from '../../api/errors.ts';
import { parseId } from '../../api/ids.ts';
import { badInput, json, parseInput, text } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { raceAbort } from '../../engine/abort.ts';
import { mayBeRounded } from '../../engine/exact-json.ts';
import type { ToolOutcome } from '../../engine/ports.ts';
import { boundResult } from '../../engine/tool-result.ts';
import { refuseRoles, type Tool, type ToolContext } from '../contract/tool.ts';
import { maxJsonLength } from '../parameters/schema-bounds.ts';
import type { RealtimeCaller } from './deps.ts';
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
      'must not hold whole numbers beyond ±9,007,199,254,740,991, which JSON rounds: send them as strings',
    ),
  conversationId: z.string().nullish(),
  realtimeSessionId: z.string().nullish(),
});

/** Whether it holds a number that may have been rounded when it was parsed. Not recursive: it may be nested deep. */
function holdsRounded(value: unknown): boolean {
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (mayBeRounded(next)) return true;
    if (typeof next === 'object' && next !== null) for (const part of Object.values(next)) open.push(part);
  }
  return false;
}

/** The outcome of a direct call of a tool. */
export interface ToolResult {
  readonly name: string;
  readonly ok: boolean;
  /** No longer than the tool's limit; null if it failed. */
  readonly result: unknown;
  /** Why it failed, as a model would be told. */
  readonly error: string | null;
  /** Milliseconds. */
  readonly durationMs: number;
}

/**
 * Runs a tool of the viewer's tenant as the viewer. A tool that needs approval runs: the caller is the person to approve.
 * @param input ExecuteToolInput
 * @param clientGone aborts when the client disconnects: the call ends, as it does when the server closes
 * @returns also if the tool failed, timed out, or refused the arguments: then `ok` is false
 * @throws {RateLimitedError} beyond RATE_LIMIT_TOOLS
 * @throws {BadUserInputError} naming the field
 * @throws {NotFoundError} for an unknown tool, {@link ForbiddenError} for one that needs another role; both for the
 *   conversation and the realtime session; {@link ConflictError} if the session has ended
 */
export async function executeTool(
  viewer: Viewer,
  tools: ToolRegistry,
  input: unknown,
  clientGone: AbortSignal | null = null,
): Promise<ToolResult> {
  const { db, callLimit, closing, calls, consumers, logger } = tools.deps;
  await callLimit.take(viewer);
  const { name, arguments: args, ...context } = parseInput(executeInput, input, ['input']);
  const { conversationId: publicId, realtimeSessionId } = context;
  if (publicId != null) parseId('Conversation', publicId, ['input', 'conversationId']);
  const sessionPath = ['input', 'realtimeSessionId'];
  if (realtimeSessionId != null) {
    parseId('RealtimeSession', realtimeSessionId, sessionPath);
    if (publicId != null) throw badInput(sessionPath, 'must not be given with conversationId: it has one of its own');
  }
  const conversationId = publicId == null ? null : await consumers.findConversation(viewer, publicId);
  const realtime =
    realtimeSessionId == null ? null : await consumers.findRealtimeCaller(viewer, realtimeSessionId, sessionPath);
  const [tool] = await tools.findTools(viewer, [name], 'person');
  if (tool === undefined) throw new NotFoundError(`No tool is named ${JSON.stringify(name)}.`);
  if (realtime?.toolNames.has(name) === false) {
    throw new ForbiddenError(`No agent of the realtime session has the tool ${JSON.stringify(name)}.`);
  }
  const refusal = refuseRoles(viewer, tool.requiredRoles);
  if (refusal !== null) throw new ForbiddenError(refusal);

  const startedAt = performance.now();
  const ended = AbortSignal.any(clientGone === null ? [closing] : [closing, clientGone]);
  const caller = { viewer, db, conversationId: realtime?.conversationId ?? conversationId, ended, logger };
  const call = realtime
    ? callGuarded(tool, args, realtime, { ...caller, agentId: realtime.agentId, agentName: realtime.agentName })
    : callInTime(tool, args, { ...caller, agentId: null, agentName: null });
  calls.add(call);
  const outcome = await call.finally(() => calls.delete(call));
  const durationMs = Math.round(performance.now() - startedAt);
  if (!outcome.ok) {
    return { name: tool.name, ok: false, result: null, error: outcome.error.slice(0, maxErrorLength), durationMs };
  }
  const { result } = boundResult(outcome.result, tool.maxResultLength);
  return { name: tool.name, ok: true, result, error: null, durationMs };
}

/** A call of a voice agent: the guardrails of the agent check what goes in, and what comes out. */
async function callGuarded(
  tool: Tool,
  args: Record<string, unknown>,
  realtime: RealtimeCaller,
  call: DirectCall,
): Promise<ToolOutcome> {
  const checked = await realtime.checkArguments(tool.name, args, call.ended);
  if (!checked.ok) return checked;
  const outcome = await callInTime(tool, checked.result, call);
  return call.ended.aborted ? outcome : await realtime.checkOutcome(outcome, call.ended);
}

interface DirectCall extends Pick<ToolContext, 'viewer' | 'db' | 'conversationId' | 'agentId' | 'agentName'> {
  /** Aborts when nobody waits for the call any more. */
  readonly ended: AbortSignal;
  readonly logger: Logger;
}

/** Never throws: a failure of the tool is an outcome. */
async function callInTime(tool: Tool, args: unknown, { ended, logger, ...caller }: DirectCall): Promise<ToolOutcome> {
  const signal = AbortSignal.any([ended, AbortSignal.timeout(tool.timeoutMs)]);
  try {
    // The tool is not called if nobody waits for it.
    signal.throwIfAborted();
    const context = { ...caller, runId: null, callId: null, epoch: null, signal };
    return await raceAbort(tool.call(args, context), signal);
  } catch (error) {
    if (ended.aborted)
      return { ok: false, error: 'The call was cancelled: the server is stopping, or the client disconnected.' };
    if (signal.aborted) return { ok: false, error: `No answer within ${tool.timeoutMs / 1000} seconds.` };
    // The error may hold secrets of the tool's system.
    logger.warn({ tool: tool.name, failure: error instanceof Error ? error.name : typeof error }, 'a tool failed');
    return { ok: false, error: 'The tool failed.' };
  }
}
