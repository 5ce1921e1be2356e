import { z } from 'zod';
import type { ProviderState, RequestedCall } from '../../engine/ports.ts';
import type { Handoff, Message, ToolCall } from '../../generated/prisma/client.ts';
import { readProviderState } from '../provider-state.ts';
import { isOpenCall } from '../stored-call.ts';

/** What the rows hold of a run that has begun. */
export interface RunRows {
  /** Those that its model steps have written. */
  readonly messages: readonly Pick<Message, 'id' | 'step' | 'status' | 'content' | 'agentId' | 'transfers'>[];
  readonly toolCalls: readonly ToolCall[];
  readonly handoffs: readonly Pick<Handoff, 'step' | 'callId' | 'toAgentId'>[];
}

/** Where a run continues whose process has died. */
export type RunPosition =
  /** With a model step: the next one, or the one that was interrupted. */
  | {
      readonly kind: 'step';
      readonly step: number;
      /** Null: the agent with which the run began. */
      readonly agentId: string | null;
      /** The message that the step had begun; null: none. */
      readonly reopened: string | null;
    }
  /** After the answer of a model step: with the calls and the handoff that are left of it, or with the end. */
  | {
      readonly kind: 'answer';
      readonly step: number;
      readonly agentId: string | null;
      readonly content: string;
      /** All calls of the step, handoffs included. */
      readonly calls: readonly RequestedCall[];
      readonly toolCalls: readonly ToolCall[];
      readonly state: ProviderState | null;
    };

const transfers = z.array(z.object({ id: z.string(), name: z.string(), arguments: z.string(), index: z.int() }));

/**
 * Finds where a run continues, from its rows alone. A message and the calls of its step are written together, and a handoff
 * after its calls: the last step tells all.
 */
export function findPosition({ messages, toolCalls, handoffs }: RunRows): RunPosition {
  const steps = [...messages, ...toolCalls, ...handoffs].map(({ step }) => step ?? 0);
  if (steps.length === 0) return { kind: 'step', step: 0, agentId: null, reopened: null };
  const step = Math.max(...steps);
  const handoff = handoffs.find((entry) => entry.step === step);
  if (handoff) return { kind: 'step', step: step + 1, agentId: handoff.toAgentId, reopened: null };

  const message = messages.find((entry) => entry.step === step);
  const own = toolCalls.filter((call) => call.step === step).sort((a, b) => a.index - b.index);
  const agentId = message?.agentId ?? own[0]?.agentId ?? null;
  const asked = transfers.safeParse(message ? message.transfers : (own[0]?.transfers ?? [])).data;
  const isWhole = message?.status === 'COMPLETE' || message?.status === 'REDACTED';
  if (message && own.length === 0 && (!isWhole || asked === undefined)) {
    return { kind: 'step', step, agentId, reopened: message.id };
  }
  const left = asked ?? [];
  if (own.length > 0 && left.length === 0 && !own.some(isOpenCall)) {
    return { kind: 'step', step: step + 1, agentId, reopened: null };
  }
  const calls = [...left, ...own.map((call) => ({ ...call, id: call.callId }))]
    .sort((a, b) => a.index - b.index)
    .map(({ id, name, arguments: written }) => ({ id, name, arguments: written }));
  const state = own.map((call) => readProviderState(call.providerState)).find((found) => found !== null) ?? null;
  return { kind: 'answer', step, agentId, content: message?.content ?? '', calls, toolCalls: own, state };
}
