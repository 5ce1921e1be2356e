import { retryWhileAway } from '../../database/outage.ts';
import type { HistoryItem } from '../../engine/ports.ts';
import type { TurnRouter } from '../../engine/routing.ts';
import type { SpokenText } from '../../orchestration/classify.ts';
import { decideRouting } from '../../orchestration/decide.ts';
import { readLastDecision } from '../../orchestration/last-decision.ts';
import type { PlannedTurn } from '../planned-turn.ts';
import type { LaunchRequest, RunRuntime } from '../runtime.ts';

/**
 * Chooses the agent with which a turn begins, as the orchestration of its scenario has it.
 * @returns undefined: the agent is chosen already
 */
export function routerOf(
  runtime: RunRuntime,
  { run, viewer }: Pick<LaunchRequest, 'run' | 'viewer'>,
  { orchestration: planned, agents }: PlannedTurn,
): TurnRouter | undefined {
  if (planned === null) return undefined;
  const { scenarioId, fallbackAgentId } = planned;
  const { timeoutMs } = runtime.agents.orchestration;
  return {
    classifierAgentId: planned.classifier?.agentId ?? null,
    async route(history, signal) {
      const read = () => readLastDecision(viewer, runtime.db, run.conversationId, scenarioId);
      const last = await retryWhileAway(read, { maxMs: runtime.outageMs, signal });
      const { text, before } = splitHistory(history);
      const hasAnswered = before.some(({ from }) => from === 'agent');
      const input = {
        text,
        history: before,
        currentAgentId: hasAnswered ? fallbackAgentId : null,
        last,
        toolsOf: (id: string) => agents.get(id)?.tools.map(({ name }) => name) ?? [],
      };
      const routed = await decideRouting(planned, input, { model: runtime.model, timeoutMs, signal });
      const { problem } = routed;
      if (problem !== null) runtime.logger.warn({ runId: run.id, problem }, 'a classifier could not choose an agent');
      return routed;
    },
  };
}

/** The last text of the user, and what was said before it. */
function splitHistory(history: readonly HistoryItem[]): { readonly text: string; readonly before: SpokenText[] } {
  const index = history.findLastIndex(({ role }) => role === 'user');
  const item = history[index];
  const before = history.slice(0, Math.max(index, 0)).flatMap((entry): SpokenText[] => {
    if (entry.role === 'user') return [{ from: 'user', text: entry.content }];
    return entry.role === 'assistant' && entry.content !== '' ? [{ from: 'agent', text: entry.content }] : [];
  });
  return { text: item?.role === 'user' ? item.content : '', before };
}
