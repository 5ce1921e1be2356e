import { describe, expect, test } from 'vitest';
import { TurnAborted } from '../../src/engine/abort.ts';
import type { TurnEvent } from '../../src/engine/events.ts';
import type { PlannedAgent, RunPlan } from '../../src/engine/plan.ts';
import { ModelError, type ModelEvent, type ModelRequest, type TurnPorts } from '../../src/engine/ports.ts';
import { runTurn } from '../../src/engine/run-turn.ts';
import type { Guardrail } from '../../src/guardrails/config.ts';
import { planGuardrails } from '../../src/guardrails/plan.ts';
import { nothingChecked, openTurnGuard } from '../../src/guardrails/turn-guard.ts';

const endpoint = { api: 'RESPONSES', apiUrl: 'http://localhost', apiKey: '', model: 'm' } as const;
const finished = { type: 'finished', reason: 'stop', usage: null } as const;
const agent: PlannedAgent = {
  id: 'a',
  name: 'a',
  instructions: 'a',
  endpoint,
  temperature: null,
  maxTokens: null,
  tools: [],
  handoffs: [],
};
const email: Guardrail = {
  name: 'mail',
  stages: ['OUTPUT'],
  check: { type: 'PII', kinds: ['EMAIL'] },
  action: 'REDACT',
  mode: 'HOLD_BACK',
  window: 32,
  onError: 'CLOSED',
};

type Step = readonly (ModelEvent | Error)[];

/** Runs a turn of an agent with guardrails. @returns its events, and what the model was sent */
async function run(steps: readonly Step[], guardrails: readonly Guardrail[], signal = new AbortController().signal) {
  const requests: ModelRequest[] = [];
  let ids = 0;
  const ports: TurnPorts = {
    model: {
      async *stream(request) {
        requests.push(request);
        for (const event of steps[requests.length - 1] ?? []) {
          if (event instanceof Error) throw event;
          yield event;
        }
      },
    },
    tools: { call: async () => ({ ok: true, result: null }) },
    newId: () => `id-${(ids++).toString()}`,
    messageId: (step) => `message-${step}`,
    now: () => new Date(),
  };
  const plan: RunPlan = {
    agents: new Map([[agent.id, agent]]),
    startAgentId: agent.id,
    history: [{ role: 'user', content: 'hi' }],
    limits: { maxSteps: 4, runTimeoutMs: 60_000, maxRetries: 2, maxResultLength: 200 },
    resumed: null,
  };
  const never = () => Promise.reject(new Error('No provider is asked.'));
  const providers = { model: ports.model, moderations: { moderate: never }, timeoutMs: 1_000 };
  const planned = planGuardrails(guardrails, { providers, endpoint, classifiers: new Map() });
  const guard = openTurnGuard(new Map([[agent.id, planned]]), { earlier: nothingChecked, timeoutMs: 1_000 });
  const events: TurnEvent[] = [];
  for await (const event of runTurn(plan, ports, signal, guard)) events.push(event);
  return { events, requests };
}

const say = (deltas: readonly string[]): Step => [
  ...deltas.map((delta) => ({ type: 'text', delta }) as const),
  finished,
];
const address = 'bob@example.com';
const text = `Write to ${address} 👩‍💻 today, not tomorrow.`;
const clean = 'Write to [EMAIL] 👩‍💻 today, not tomorrow.';
const graphemes = [...new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text)].map(
  ({ segment }) => segment,
);

describe('The model’s stream', () => {
  const cuts = [
    graphemes,
    [...text],
    ...graphemes.map((_, at) => [graphemes.slice(0, at).join(''), graphemes.slice(at).join('')]),
  ];

  test('Wherever the stream is cut, no event holds what was flagged, and the answer is redacted', async () => {
    for (const deltas of cuts) {
      const { events } = await run([say(deltas)], [email]);
      expect(JSON.stringify(events)).not.toContain('bob');
      expect(events.find(({ type }) => type === 'messageCompleted')).toMatchObject({
        content: clean,
        status: 'REDACTED',
      });
    }
  });

  test('Wherever the stream breaks, what was held back is in no event, and the step is tried again', async () => {
    const broken = new ModelError({ code: 'MODEL_ERROR', message: 'no', retryable: true }, { retryAfterMs: 0 });
    for (let at = 1; at < graphemes.length; at += 7) {
      const half: Step = [{ type: 'text', delta: graphemes.slice(0, at).join('') }, broken];
      const { events, requests } = await run([half, say(graphemes)], [email]);
      expect(requests).toHaveLength(2);
      expect(JSON.stringify(events)).not.toContain('bob');
      expect(events.at(-1)?.type).toBe('turnCompleted');
    }
  });

  test('Wherever the turn is cancelled, the message that stays holds nothing of what was held back', async () => {
    for (let at = 1; at < graphemes.length; at += 5) {
      const stop = new AbortController();
      const deltas = graphemes.map((delta, index) => ({
        type: 'text' as const,
        get delta() {
          if (index === at) stop.abort(new TurnAborted());
          return delta;
        },
      }));
      const { events } = await run([[...deltas, finished]], [email], stop.signal);
      expect(JSON.stringify(events)).not.toContain('bob');
      expect(events.at(-1)?.type).toBe('turnCancelled');
    }
  });

  test('What is flagged only across two model steps is not joined: each message is checked by itself', async () => {
    const call = { type: 'call', call: { id: 'c', name: 'absent', arguments: '{}' } } as const;
    const first: Step = [{ type: 'text', delta: 'bob' }, call, finished];
    const { events } = await run([first, say(['@example.com'])], [{ ...email, action: 'BLOCK' }]);
    expect(events.filter(({ type }) => type === 'messageCompleted')).toHaveLength(2);
    expect(events.at(-1)?.type).toBe('turnCompleted');
  });

  test('What the provider wants back is not kept if something was redacted: it may hold the text', async () => {
    const call = { type: 'call', call: { id: 'c', name: 'absent', arguments: `{"to":"${address}"}` } } as const;
    const state = { reasoning: [address] };
    const step: Step = [call, { ...finished, reason: 'calls', state }];
    const { events, requests } = await run([step, say(['Done.'])], [{ ...email, stages: ['TOOL_INPUT'] }]);
    expect(JSON.stringify([events, requests])).not.toContain('bob');
    expect(events.find(({ type }) => type === 'callsRequested')).toMatchObject({ state: null });
  });
});
