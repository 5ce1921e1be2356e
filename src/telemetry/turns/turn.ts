import { AsyncLocalStorage } from 'node:async_hooks';
import type { Span } from '@opentelemetry/api';
import { formatId } from '../../api/ids.ts';
import type { TurnEvent } from '../../engine/events.ts';
import type { Failure } from '../../engine/ports.ts';
import {
  firstTextSeconds,
  guardrailChecks,
  handoffs,
  takeovers,
  turnSeconds,
  turnsBegun,
  turnsEnded,
} from '../metrics.ts';
import { currentScope, inScope, restoreScope, type Scope, type StoredTrace } from '../scope.ts';
import { beginSpan, endSpan } from '../spans.ts';
import { noteModelCall } from './model-calls.ts';

/** A turn that this process begins to carry out. */
export interface ObservedTurn {
  readonly start: 'new' | 'queue' | 'approval' | 'takeover';
  /** Public ids. */
  readonly runId: string;
  readonly conversationId: string;
  readonly tenantId: string;
  readonly trace: StoredTrace | undefined;
}

/** How this process lets go of a turn. */
type Release = 'ended' | 'waiting' | 'lost';

/** How a turn ends. */
interface TurnEnd {
  readonly status: 'COMPLETED' | 'FAILED' | 'CANCELLED';
  readonly failure: Pick<Failure, 'code'> | null;
}

const turns = new AsyncLocalStorage<TurnTelemetry>();

/**
 * Measures a turn while this process carries it out, in a span of its own that belongs to the trace of whoever started it,
 * also if that was long ago or on another instance.
 */
export function observeTurn(turn: ObservedTurn, work: () => Promise<Release>): Promise<Release> {
  const observed = new TurnTelemetry(turn);
  return turns.run(observed, () =>
    inScope(observed.scope, async () => {
      let release: Release = 'lost';
      try {
        release = await work();
        return release;
      } finally {
        observed.end(release);
      }
    }),
  );
}

/** Notes an event of the current turn. Deltas are not noted: nothing is done for each token. */
export function noteTurnEvent(event: TurnEvent): void {
  switch (event.type) {
    case 'messageStarted':
      turns.getStore()?.noteText();
      break;
    case 'modelCalled':
      noteModelCall(event.call);
      break;
    case 'guardrailChecked':
      guardrailChecks.inc({ stage: event.result.stage, action: event.result.decision.action });
      break;
    case 'handoffOccurred':
      handoffs.inc();
      break;
  }
}

/** Notes that a model step of the current turn begins; what follows belongs to it. */
export function noteStep(step: number, agent: { readonly id: string; readonly name: string }): void {
  turns.getStore()?.beginStep(step, agent);
}

/** Notes how the current turn ends. */
export function noteTurnEnd(end: TurnEnd): void {
  turns.getStore()?.noteEnd(end);
}

/** Counts a turn that ends while no process carries it out: it was cancelled in the queue, or while it waited. */
export function countEnd({ status, failure }: TurnEnd): void {
  turnsEnded.inc({ outcome: outcomes[status], code: failure?.code ?? '' });
}

/**
 * Counts a turn that this process found left behind.
 * @param leaseOwner whose it was when it was found; null: its process has given it back, because it had to stop
 */
export function countTakeover(
  result: 'continued' | 'ended',
  { leaseOwner }: { readonly leaseOwner: string | null },
): void {
  takeovers.inc({ reason: leaseOwner === null ? 'handed_over' : 'died', result });
}

const outcomes = { COMPLETED: 'completed', FAILED: 'failed', CANCELLED: 'cancelled' } as const;

class TurnTelemetry {
  readonly scope: Scope;
  readonly #span: Span | null;
  readonly #trace: Scope['trace'];
  readonly #begunAt = performance.now();
  #step: Span | null = null;
  #hasText = false;
  #outcome: string | null = null;
  #code = '';

  constructor({ start, runId, conversationId, tenantId, trace }: ObservedTurn) {
    turnsBegun.inc({ start });
    const stored = restoreScope(trace);
    const now = currentScope()?.trace ?? null;
    this.#span = beginSpan('invoke_agent', {
      kind: 'internal',
      parent: stored.trace,
      // Whoever has approved its calls, for example.
      link: now !== null && now.traceId !== stored.trace?.traceId && start === 'approval' ? now : null,
      attributes: {
        'gen_ai.operation.name': 'invoke_agent',
        'gen_ai.conversation.id': conversationId,
        'switchboard.run.id': runId,
        'switchboard.run.start': start,
        'switchboard.tenant.id': tenantId,
      },
    });
    this.#trace = this.#span?.spanContext() ?? stored.trace;
    this.scope = { requestId: stored.requestId, trace: this.#trace };
  }

  beginStep(step: number, { id, name }: { readonly id: string; readonly name: string }): void {
    if (this.#span === null) return;
    const agent = { 'gen_ai.agent.name': name, 'gen_ai.agent.id': formatId('Agent', id) };
    if (this.#step === null) {
      this.#span.updateName(`invoke_agent ${name}`);
      this.#span.setAttributes(agent);
    }
    endSpan(this.#step);
    this.#step = beginSpan('step', {
      kind: 'internal',
      parent: this.#trace,
      attributes: { 'switchboard.step': step, ...agent },
    });
    this.scope.trace = this.#step?.spanContext() ?? this.#trace;
  }

  noteText(): void {
    if (!this.#hasText) firstTextSeconds.observe((performance.now() - this.#begunAt) / 1_000);
    this.#hasText = true;
  }

  noteEnd({ status, failure }: TurnEnd): void {
    this.#count(outcomes[status], failure?.code ?? '');
  }

  /** What has not ended here waits for a person, or goes on or has ended elsewhere. */
  end(release: Release): void {
    if (this.#outcome === null) this.#count(release === 'waiting' ? 'waiting' : 'lost', '');
    const errorType = this.#code !== '' ? this.#code : this.#outcome === 'lost' ? 'lost' : null;
    endSpan(this.#step, errorType);
    this.#span?.setAttribute('switchboard.run.outcome', this.#outcome ?? 'lost');
    endSpan(this.#span, errorType);
  }

  #count(outcome: string, code: string): void {
    this.#outcome = outcome;
    this.#code = code;
    turnsEnded.inc({ outcome, code });
    turnSeconds.observe({ outcome }, (performance.now() - this.#begunAt) / 1_000);
  }
}
