import { orAborted } from './abort.ts';
import type { CallStatus, TurnEvent, TurnToolCall } from './events.ts';
import type { PlannedAgent, TurnLimits } from './plan.ts';
import type { HistoryItem, RequestedCall, ToolOutcome, TurnPorts } from './ports.ts';
import { boundResult } from './tool-result.ts';

/** What a tool step is given. */
export interface ToolStepInput {
  readonly agent: PlannedAgent;
  readonly step: number;
  readonly calls: readonly RequestedCall[];
  readonly limits: TurnLimits;
}

/** What a tool step leaves: a result for every call, in the order of the calls, and where the floor goes. */
export interface ToolStepOutcome {
  readonly results: readonly HistoryItem[];
  readonly handoffTo: string | null;
}

/** A model that asks for more at once is told so; nothing of the surplus is run. */
const maxParallelCalls = 32;

/**
 * Runs the calls of one model step side by side, each with its timeout; then the handoff, if one was asked for. A
 * call that fails is told to the model as its result. Each call is announced before any of them is begun.
 *
 * @throws the signal's reason when the turn is stopped; every open call was closed as CANCELLED before
 */
export async function* runToolStep(
  input: ToolStepInput,
  ports: TurnPorts,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent, ToolStepOutcome, void> {
  const { agent, step, calls, limits } = input;
  const handoffs = new Map(agent.handoffs.map((handoff) => [handoff.toolName, handoff]));
  const outputs = new Map<string, string>();

  const open = new Map<string, TurnToolCall>();
  for (const [index, call] of calls.entries()) {
    if (handoffs.has(call.name)) continue;
    const { id: callId, name, arguments: written } = call;
    const begun = { callId, step, index, name, arguments: written, agentId: agent.id, startedAt: ports.now() };
    const toolCall: TurnToolCall = { ...begun, result: null, status: 'RUNNING', error: null, finishedAt: null };
    open.set(callId, toolCall);
    yield { type: 'toolCallStarted', toolCall };
  }

  const close = (toolCall: TurnToolCall, status: CallStatus, result: unknown, error: string | null): TurnEvent => {
    open.delete(toolCall.callId);
    return { type: 'toolCallCompleted', toolCall: { ...toolCall, status, result, error, finishedAt: ports.now() } };
  };

  try {
    const running = new Map(
      [...open.values()].map((toolCall) => [toolCall.callId, runCall(toolCall, agent, ports, limits, signal)]),
    );
    while (running.size > 0) {
      const { callId, outcome } = await orAborted(Promise.race(running.values()), signal);
      running.delete(callId);
      const toolCall = open.get(callId);
      if (!toolCall) continue;
      if (outcome.ok) {
        const { output, result } = boundResult(outcome.result, limits.maxResultLength);
        outputs.set(callId, output);
        yield close(toolCall, 'SUCCEEDED', result, null);
      } else {
        outputs.set(callId, JSON.stringify({ error: outcome.error }));
        yield close(toolCall, 'FAILED', null, outcome.error);
      }
    }
  } catch (error) {
    for (const toolCall of [...open.values()]) yield close(toolCall, 'CANCELLED', null, 'The turn was stopped.');
    throw error;
  }

  let handoffTo: string | null = null;
  for (const call of calls) {
    const handoff = handoffs.get(call.name);
    if (!handoff) continue;
    if (handoffTo !== null) {
      outputs.set(call.id, JSON.stringify({ error: 'Ignored: the floor has gone to another agent already.' }));
      continue;
    }
    handoffTo = handoff.toAgentId;
    outputs.set(call.id, transferredOutput);
    const edge = { callId: call.id, step, fromAgentId: agent.id, toAgentId: handoff.toAgentId };
    yield { type: 'handoffOccurred', ...edge, reason: reasonOf(call.arguments), at: ports.now() };
  }

  const results = calls.map(
    (call): HistoryItem => ({ role: 'tool', callId: call.id, output: outputs.get(call.id) ?? '' }),
  );
  return { results, handoffTo };
}

/** The result of a transfer tool, as the model reads it. */
export const transferredOutput = JSON.stringify({ ok: true, note: 'You have the floor now. Answer the user.' });

interface Finished {
  readonly callId: string;
  readonly outcome: ToolOutcome;
}

/** Never throws: what goes wrong with a tool is an outcome. */
async function runCall(
  toolCall: TurnToolCall,
  agent: PlannedAgent,
  ports: TurnPorts,
  limits: TurnLimits,
  signal: AbortSignal,
): Promise<Finished> {
  const { callId, name, index } = toolCall;
  const failed = (error: string): Finished => ({ callId, outcome: { ok: false, error } });

  const tool = agent.tools.find((candidate) => candidate.name === name);
  if (!tool) {
    const known = agent.tools.map((candidate) => candidate.name).join(', ');
    return failed(`There is no tool named ${name}. The tools are: ${known || 'none'}.`);
  }
  if (index >= maxParallelCalls) return failed(`Not run: at most ${maxParallelCalls} calls at once.`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(toolCall.arguments);
  } catch {
    return failed('The arguments are not valid JSON. Send one JSON object that fits the schema.');
  }

  const timeout = AbortSignal.timeout(tool.timeoutMs);
  const stop = AbortSignal.any([signal, timeout]);
  try {
    const work = ports.tools.call({ id: callId, name, arguments: parsed }, { agentId: agent.id, signal: stop });
    const outcome = await orAborted(work, stop);
    if (!outcome.ok) return failed(outcome.error.slice(0, limits.maxResultLength));
    return { callId, outcome };
  } catch {
    // What a tool throws may hold secrets of its system: the model is told no more than that it failed.
    return failed(timeout.aborted ? `No answer within ${tool.timeoutMs / 1000} seconds.` : 'The tool failed.');
  }
}

function reasonOf(written: string): string | null {
  try {
    const parsed: unknown = JSON.parse(written);
    const reason = typeof parsed === 'object' && parsed !== null && 'reason' in parsed ? parsed.reason : null;
    return typeof reason === 'string' && reason !== '' ? reason.slice(0, 1_000) : null;
  } catch {
    return null;
  }
}
