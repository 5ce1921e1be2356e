import { raceAbort } from './abort.ts';
import type { TurnToolCall } from './events.ts';
import { parseExactJson } from './exact-json.ts';
import type { PlannedAgent, TurnLimits } from './plan.ts';
import type { ToolOutcome, TurnPorts } from './ports.ts';
import { cleanText } from './text.ts';

/** Calls of one step that are run. The model is told about every further call that it was not run. */
const maxParallelCalls = 32;

/** The outcome of a call. */
export interface FinishedCall {
  readonly callId: string;
  readonly outcome: ToolOutcome;
}

type CheckedCall =
  | { readonly ok: true; readonly timeoutMs: number; readonly arguments: unknown }
  | { readonly ok: false; readonly error: string };

/**
 * Checks what can be known before a call is run: the tool exists, the step does not have too many calls, and the
 * arguments are JSON without a number that would be rounded, so that what is run is what a person was shown.
 * @param written the arguments as text
 */
function readCall(name: string, index: number, written: string, agent: PlannedAgent): CheckedCall {
  const tool = agent.tools.find((candidate) => candidate.name === name);
  if (!tool) {
    const known = agent.tools.map((candidate) => candidate.name).join(', ');
    return { ok: false, error: `The tool ${name} does not exist. The tools are: ${known || 'none'}.` };
  }
  if (index >= maxParallelCalls)
    return { ok: false, error: `Not run: one step can have at most ${maxParallelCalls} calls.` };
  try {
    // For a tool without arguments, some models write nothing at all.
    const { value, inexact } = parseExactJson(written.trim() === '' ? '{}' : written);
    if (inexact !== null) return { ok: false, error: explainInexact(inexact) };
    return { ok: true, timeoutMs: tool.timeoutMs, arguments: value };
  } catch {
    return { ok: false, error: 'The arguments are not valid JSON. Send one JSON object that fits the schema.' };
  }
}

function explainInexact(literal: string): string {
  const shown = literal.length > 100 ? `${literal.slice(0, 100)}…` : literal;
  return `The arguments hold the number ${shown}, which cannot be kept exactly. Write it as a string, in quotes.`;
}

/** Whether a person has to be asked before a call is run. Nobody is asked about a call that would fail anyway. */
export function needsApproval(
  call: { readonly name: string; readonly arguments: string },
  index: number,
  agent: PlannedAgent,
  ports: TurnPorts,
): boolean {
  if (!agent.tools.some((tool) => tool.name === call.name && tool.requiresApproval)) return false;
  const read = readCall(call.name, index, call.arguments, agent);
  return read.ok && (ports.tools.check?.({ name: call.name, arguments: read.arguments }) ?? null) === null;
}

/**
 * Runs one call, with the arguments that a person approved if they are not the model's.
 * @returns its outcome; it never throws: the failure of a tool is an outcome
 */
export async function runCall(
  toolCall: TurnToolCall,
  agent: PlannedAgent,
  ports: TurnPorts,
  limits: TurnLimits,
  signal: AbortSignal,
): Promise<FinishedCall> {
  const { callId, name, index } = toolCall;
  const failed = (error: string): FinishedCall => ({ callId, outcome: { ok: false, error } });

  const read = readCall(name, index, toolCall.editedArguments ?? toolCall.arguments, agent);
  if (!read.ok) return failed(read.error);
  const timeout = AbortSignal.timeout(read.timeoutMs);
  const stop = AbortSignal.any([signal, timeout]);
  try {
    // If the turn is stopped while its calls are announced, none of them begins.
    stop.throwIfAborted();
    const call = { id: callId, name, arguments: read.arguments };
    const outcome = await raceAbort(ports.tools.call(call, { agentId: agent.id, signal: stop }), stop);
    if (!outcome.ok) return failed(cleanText(outcome.error.slice(0, limits.maxResultLength)));
    return { callId, outcome };
  } catch {
    // What a tool throws may hold secrets of its system, so the model only learns that it failed.
    return failed(timeout.aborted ? `No answer within ${read.timeoutMs / 1000} seconds.` : 'The tool failed.');
  }
}
