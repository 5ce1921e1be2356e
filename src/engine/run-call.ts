import { raceAbort } from './abort.ts';
import type { TurnToolCall } from './events.ts';
import { parseExactJson } from './exact-json.ts';
import type { PlannedAgent, TurnLimits } from './plan.ts';
import type { ToolOutcome, TurnPorts } from './ports.ts';
import { cleanText } from './text.ts';

/** A model that asks for more at once is told so; nothing of the surplus is run. */
const maxParallelCalls = 32;

/** What came of a call. */
export interface FinishedCall {
  readonly callId: string;
  readonly outcome: ToolOutcome;
}

type CheckedCall =
  | { readonly ok: true; readonly timeoutMs: number; readonly arguments: unknown }
  | { readonly ok: false; readonly error: string };

/**
 * What can be known of a call before it is run: there is such a tool, it is not one too many, and its arguments are
 * JSON that can be read without rounding: what is run is what a person was shown.
 * @param written the arguments as text
 */
function readCall(name: string, index: number, written: string, agent: PlannedAgent): CheckedCall {
  const tool = agent.tools.find((candidate) => candidate.name === name);
  if (!tool) {
    const known = agent.tools.map((candidate) => candidate.name).join(', ');
    return { ok: false, error: `There is no tool named ${name}. The tools are: ${known || 'none'}.` };
  }
  if (index >= maxParallelCalls) return { ok: false, error: `Not run: at most ${maxParallelCalls} calls at once.` };
  try {
    const { value, inexact } = parseExactJson(written);
    if (inexact !== null) return { ok: false, error: explainInexact(inexact) };
    return { ok: true, timeoutMs: tool.timeoutMs, arguments: value };
  } catch {
    return { ok: false, error: 'The arguments are not valid JSON. Send one JSON object that fits the schema.' };
  }
}

function explainInexact(literal: string): string {
  const shown = literal.length > 100 ? `${literal.slice(0, 100)}…` : literal;
  return `The arguments hold the number ${shown}, which cannot be kept exactly. Give it as text, in quotes.`;
}

/** Whether a person has to be asked before a call is run: not where it would fail anyway. */
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
 * Runs one call, with the arguments that a person approved where there are such.
 * @returns what came of it; never throws: what goes wrong with a tool is an outcome
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
    // A turn that is stopped as its calls are announced begins none of them.
    stop.throwIfAborted();
    const call = { id: callId, name, arguments: read.arguments };
    const outcome = await raceAbort(ports.tools.call(call, { agentId: agent.id, signal: stop }), stop);
    if (!outcome.ok) return failed(cleanText(outcome.error.slice(0, limits.maxResultLength)));
    return { callId, outcome };
  } catch {
    // What a tool throws may hold secrets of its system: the model is told no more than that it failed.
    return failed(timeout.aborted ? `No answer within ${read.timeoutMs / 1000} seconds.` : 'The tool failed.');
  }
}
