import type { AgentDependencies } from '../../agents/dependencies.ts';
import { planGuards } from '../../agents/plan-guards.ts';
import { resolveAgents } from '../../agents/resolve.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Database } from '../../database/client.ts';
import type { Guarded, GuardModelCall, GuardStage } from '../../engine/guard.ts';
import { loadScenarioGraph } from '../../scenarios/load.ts';
import { type CheckOptions, checkText } from '../check-text.ts';
import { type Guardrail, readGuardrails } from '../config.ts';
import { FewAtOnce } from '../few-at-once.ts';
import { checkMessage, type MessageTexts } from '../message-texts.ts';
import type { PlannedGuardrail } from '../planned.ts';

/** What checking texts outside of a run needs. */
export interface TextCheckDependencies {
  readonly db: Database;
  readonly agents: AgentDependencies;
}

/** Whose guardrails check texts. Ids are row ids. */
export interface GuardedBy {
  /** The agent that the texts are written to, or that wrote them. Its provider is asked by moderation checks. */
  readonly agentId: string;
  readonly guardrails: readonly Guardrail[];
  /** Of the conversation in whose usage the tokens of classifiers count; null: of none. */
  readonly conversationId: string | null;
}

/** A text that is whole, and where it would be checked in a turn. */
export interface TextToCheck {
  readonly stage: GuardStage;
  /** Providers are asked about its last 20,000 characters. */
  readonly text: string;
}

/** So many texts are checked at the same time: each may be a request for each guardrail. */
const textsAtOnce = 4;

/**
 * The guardrails of an agent of the viewer's tenant, after those of a scenario, from the cache. Whether the viewer may use
 * them is for the caller to check.
 * @param scenarioId null: those of the agent alone
 * @returns null: the agent does not exist, or was deleted
 */
export async function findGuardrails(
  viewer: Viewer,
  { db, agents }: TextCheckDependencies,
  { agentId, scenarioId }: { readonly agentId: string; readonly scenarioId: string | null },
): Promise<readonly Guardrail[] | null> {
  const resolved = (await resolveAgents(viewer, agents, [agentId])).get(agentId);
  if (!resolved) return null;
  const scenario = scenarioId === null ? null : await loadScenarioGraph(viewer, db, agents.config, scenarioId);
  return [...(scenario?.guardrails ?? []), ...readGuardrails(resolved.agent.guardrails)];
}

/**
 * Checks texts outside of a run, such as those of a transcript: with the guardrails of their stage in all modes, since there
 * is no model beside which they could be checked. A text without guardrails costs nothing. What classifiers use is stored as
 * usage of the viewer; nothing of the texts is stored or logged.
 * @param guardedBy whose guardrails check them (see {@link findGuardrails})
 * @param texts in any number: the caller bounds it
 * @param signal stops the checks, for example when the client has gone
 * @returns one for each text, in their order: `value` is the text with what REDACT guardrails have found replaced, `blockedBy`
 *   the name of the guardrail that blocks it, and `results` what may be shown and stored
 * @throws the signal's reason if it is aborted
 */
export async function checkTexts(
  viewer: Viewer,
  deps: TextCheckDependencies,
  guardedBy: GuardedBy,
  texts: readonly TextToCheck[],
  signal: AbortSignal,
): Promise<readonly Guarded<string>[]> {
  const few = new FewAtOnce(textsAtOnce);
  const stages = [...new Set(texts.map(({ stage }) => stage))];
  return checkOutsideOfRun(viewer, deps, { ...guardedBy, stages, signal }, (planned, options) =>
    Promise.all(
      texts.map(({ stage, text }) =>
        few.run(() => {
          const guards = planned.filter(({ config }) => config.stages.includes(stage));
          return checkText(guards, text, { ...options, stage });
        }),
      ),
    ),
  );
}

/**
 * As {@link checkTexts}, for a message that later turns will give to a model as a part of the past: with the guardrails for
 * INPUT, whoever has written it.
 */
export async function checkPastMessage<Message extends MessageTexts>(
  viewer: Viewer,
  deps: TextCheckDependencies,
  guardedBy: GuardedBy,
  message: Message,
  signal: AbortSignal,
): Promise<Guarded<Message>> {
  const stage = 'INPUT';
  const [checked] = await checkOutsideOfRun(
    viewer,
    deps,
    { ...guardedBy, stages: [stage], signal },
    async (planned, options) => [await checkMessage(planned, message, { ...options, stage })],
  );
  if (checked === undefined) throw new Error('A message was not checked.');
  return checked;
}

interface Checking extends GuardedBy {
  readonly stages: readonly GuardStage[];
  readonly signal: AbortSignal;
}

async function checkOutsideOfRun<Value>(
  viewer: Viewer,
  { db, agents }: TextCheckDependencies,
  { agentId, guardrails, conversationId, stages, signal }: Checking,
  check: (guards: readonly PlannedGuardrail[], options: Omit<CheckOptions, 'stage'>) => Promise<Guarded<Value>[]>,
): Promise<readonly Guarded<Value>[]> {
  const wanted = guardrails.filter((guardrail) => guardrail.stages.some((stage) => stages.includes(stage)));
  const members = await resolveAgents(viewer, agents, wanted.length === 0 ? [] : [agentId]);
  const planned = await planGuards(viewer, agents, new Map([[agentId, wanted]]), members);
  const { timeoutMs } = agents.guardrails;
  const stop = AbortSignal.any([agents.closing, signal]);
  const checked = await check(planned.get(agentId) ?? [], { agentId, timeoutMs, signal: stop });
  const calls = checked.flatMap((each) => each.calls);
  await storeGuardUsage(viewer, db, { conversationId, calls });
  return checked;
}

/** Stores what classifiers used outside of a run, as usage of the viewer. No statement if that is nothing. */
export async function storeGuardUsage(
  { tenantId, userId }: Viewer,
  db: Database,
  { conversationId, calls }: { readonly conversationId: string | null; readonly calls: readonly GuardModelCall[] },
): Promise<void> {
  if (calls.length === 0) return;
  const data = calls.map(({ agentId, model, usage, durationMs }) => {
    return {
      tenantId,
      userId,
      conversationId,
      agentId,
      step: 1,
      model,
      complete: usage !== null,
      durationMs,
      ...usage,
    };
  });
  await db.modelCall.createMany({ data });
}
