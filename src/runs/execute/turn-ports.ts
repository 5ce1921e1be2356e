import { randomUUIDv7 } from 'node:crypto';
import { checkAnswer } from '../../agents/output-schema.ts';
import { RateLimitedError } from '../../api/errors.ts';
import { retryWhileAway } from '../../database/outage.ts';
import { ModelError, type TurnPorts } from '../../engine/ports.ts';
import type { SteeringMessage, SteeringPort } from '../../engine/steering.ts';
import { listSteeringGuards } from '../../guardrails/turn-guard.ts';
import { noteStep } from '../../telemetry/turns/turn.ts';
import type { RunLease } from '../lease.ts';
import { readAttachedFiles } from '../plan/attached-files.ts';
import type { PlannedTurn } from '../planned-turn.ts';
import type { LaunchRequest, RunRuntime } from '../runtime.ts';
import type { JoinedMessage } from '../transitions/join-steered.ts';
import { FileChecks } from './check-files.ts';
import { giveFiles } from './give-files.ts';
import { filesOfMessage } from './message-files.ts';
import { nameMessage } from './name-message.ts';
import { readerOf } from './read-addresses.ts';
import type { RunRecorder } from './recorder.ts';

/** A run that is carried out by the process that has its lease. */
interface LeasedRun extends LaunchRequest {
  readonly lease: RunLease;
  readonly signal: AbortSignal;
}

/**
 * What the engine needs to carry out a turn: the model, its tools, and the ids of its rows.
 * @param recorder numbers what searches find, and stores what joins the run
 */
export function portsOf(
  runtime: RunRuntime,
  execution: LeasedRun,
  turn: PlannedTurn,
  recorder: Pick<RunRecorder, 'sources' | 'steering' | 'agentId'>,
): TurnPorts & SteeringPort {
  const { viewer, run, lease } = execution;
  return {
    model: giveFiles(runtime, run),
    tools: {
      check: ({ name, arguments: args }) => {
        const tool = turn.tools.get(name);
        return tool ? tool.check(args, viewer) : explainAbsence(turn, name);
      },
      call: async (call, { agentId, signal }) => {
        const tool = turn.tools.get(call.name);
        if (!tool) return { ok: false, error: explainAbsence(turn, call.name) };
        if (turn.changedCalls?.has(call.id)) {
          return { ok: false, error: 'The tool was changed since it was approved.' };
        }
        // Nothing is sent for a run that may belong to somebody else by now.
        await lease.confirm(signal);
        return tool.call(call.arguments, {
          viewer,
          db: runtime.db,
          conversationId: run.conversationId,
          runId: run.id,
          callId: call.id,
          epoch: run.leaseEpoch,
          agentId,
          agentName: turn.agents.get(agentId)?.name ?? null,
          signal,
          takeNumbers: (count) => recorder.sources.takeNumbers(count),
        });
      },
    },
    checkOutput: checkAnswer,
    files: filesOfMessage(runtime, execution, turn),
    newId: () => randomUUIDv7(),
    messageId: (step) => nameMessage(run.id, step),
    now: () => new Date(),
    onStep: noteStep,
    takeSteering: async (step) =>
      addFiles(runtime, execution, { turn, agentId: recorder.agentId }, await recorder.steering.take(step)),
    mayCallModel: (step) => checkBudget(runtime, execution, step),
  };
}

/** Messages that join the turn, with what the model is given of their files; nothing of them if the turn is stopped meanwhile. */
async function addFiles(
  runtime: RunRuntime,
  execution: LeasedRun,
  { turn, agentId }: { readonly turn: PlannedTurn; readonly agentId: string | null },
  joined: readonly JoinedMessage[],
): Promise<readonly SteeringMessage[]> {
  if (joined.length === 0) return [];
  const rows = joined.map(({ message }) => message);
  const checks = new FileChecks(runtime, execution, agentId ?? turn.startAgentId, listSteeringGuards(turn.guards));
  const reader = readerOf(runtime, execution, agentId ?? '', checks);
  const budgetTokens = runtime.historyTokens;
  const options = { budgetTokens, isOfRun: () => agentId !== null, reader };
  const { signal } = execution;
  const read = () => readAttachedFiles(runtime.db, execution.run, rows, options);
  const files = await retryWhileAway(read, { maxMs: runtime.outageMs, signal }).catch((error: unknown) => {
    // They have joined: that is told before the turn ends.
    if (!signal.aborted) throw error;
    return new Map<string, never>();
  });
  return joined.map(({ message, ...steering }, index) => {
    const attached = files.get(message.id);
    const given = { ...steering, ...(attached && { attached }) };
    if (index < joined.length - 1) return given;
    // With the last one: all have joined, whatever was found.
    const { results, blockedBy } = checks.findings;
    return { ...given, results: [...steering.results, ...results], ...(blockedBy !== null && { blockedBy }) };
  });
}

/**
 * Checks before a model step that tokens are left of the day's budgets; what the turn has written so far stays. The first
 * step of a turn that has just been started was checked by the statement that started it.
 * @throws {ModelError} if none are left
 */
async function checkBudget({ agents }: RunRuntime, execution: LeasedRun, step: number): Promise<void> {
  if (step === 0 && execution.turn !== null && !execution.isTakeover) return;
  try {
    await agents.tokenBudget.assertLeft(execution.run);
  } catch (error) {
    // That the counters cannot be read now ends no turn.
    if (!(error instanceof RateLimitedError)) return;
    throw new ModelError(
      { code: 'RATE_LIMITED', message: error.message, retryable: true },
      { problem: 'RATE_LIMITED' },
    );
  }
}

function explainAbsence({ absent }: PlannedTurn, name: string): string {
  return absent?.get(name) ?? `There is no tool named ${name}.`;
}
