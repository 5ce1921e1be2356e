import { expect, test } from 'vitest';
import type { TurnEvent } from '../../src/engine/events.ts';
import { fitHistory } from '../../src/engine/fit-history.ts';
import type { PlannedAgent, RunPlan } from '../../src/engine/plan.ts';
import {
  type HistoryItem,
  ModelError,
  type ModelEvent,
  type ModelRequest,
  type TurnPorts,
} from '../../src/engine/ports.ts';
import { runTurn } from '../../src/engine/run-turn.ts';
import { estimateHistory } from '../../src/engine/tokens.ts';

const user = (content: string): HistoryItem => ({ role: 'user', content });
const withTool = (id: string, output: string): HistoryItem[] => [
  { role: 'assistant', content: '', calls: [{ id, name: 'page', arguments: '{}' }] },
  { role: 'tool', callId: id, output },
];
const agent: PlannedAgent = {
  id: 'a',
  name: 'A',
  instructions: '',
  endpoint: { api: 'CHAT_COMPLETIONS', apiUrl: 'http://model.test/v1', apiKey: '', model: 'm' },
  temperature: null,
  maxTokens: null,
  tools: [],
  handoffs: [],
};
const tooLong = (contextTokens: number | null) =>
  new ModelError({ code: 'CONTEXT_TOO_LONG', message: 'Too long.', retryable: false }, { contextTokens });

/** Runs a turn at a model whose attempts are these, and returns its events and requests. */
async function run(history: HistoryItem[], attempts: readonly (ModelError | readonly ModelEvent[])[]) {
  const requests: ModelRequest[] = [];
  const rest = [...attempts];
  const ports: TurnPorts = {
    model: {
      async *stream(request) {
        requests.push(request);
        const attempt = rest.shift();
        if (attempt === undefined || attempt instanceof ModelError) throw attempt ?? new Error('No attempt is left.');
        yield* attempt;
      },
    },
    tools: { call: () => Promise.resolve({ ok: true, result: 1 }) },
    newId: () => crypto.randomUUID(),
    messageId: (step) => `message${step}`,
    now: () => new Date(),
  };
  const limits = { maxSteps: 4, runTimeoutMs: 60_000, maxRetries: 2, maxResultLength: 20_000 };
  const plan: RunPlan = { agents: new Map([['a', agent]]), startAgentId: 'a', history, limits, resumed: null };
  const events: TurnEvent[] = [];
  for await (const event of runTurn(plan, ports, new AbortController().signal)) events.push(event);
  return { events, requests };
}

const answer: ModelEvent[] = [
  { type: 'text', delta: 'Hi.' },
  { type: 'finished', reason: 'stop', usage: null },
];

test('Tool results are shortened from the oldest on, no further than needed', () => {
  const history = [
    user('one'),
    ...withTool('c1', 'x'.repeat(8_000)),
    ...withTool('c2', 'y'.repeat(8_000)),
    user('two'),
  ];
  const fitted = fitHistory(history, 3_000);
  expect(estimateHistory(fitted)).toBeLessThanOrEqual(3_000);
  expect(fitted).toHaveLength(history.length);
  expect(fitted[2]).toMatchObject({ output: expect.stringContaining('"truncated":true') });
  expect(fitted[4]).toEqual(history[4]);
});

test('The oldest turns are dropped if short tool results are not enough, and the last user message stays', () => {
  const history = [user('a'.repeat(4_000)), user('b'.repeat(4_000)), user('c'.repeat(4_000))];
  expect(fitHistory(history, 1_100)).toEqual([history[2]]);
  expect(fitHistory(history, 10)).toEqual([history[2]]);
});

test.each([8_000, null])(
  'A step that was too long is tried once more with a shorter history (window %s)',
  async (window) => {
    const history = [user('x'.repeat(20_000)), ...withTool('c1', 'y'.repeat(60_000)), user('hi')];
    const { events, requests } = await run(history, [tooLong(window), answer]);
    expect(events.at(-1)).toEqual({ type: 'turnCompleted' });
    const [first, second] = requests.map((request) => estimateHistory(request.history));
    expect(second).toBeLessThan((first ?? 0) * 0.75);
    if (window !== null) expect(second).toBeLessThan(window);
    expect(requests[1]?.history.at(-1)).toEqual(user('hi'));
  },
);

test('A step that stays too long fails with CONTEXT_TOO_LONG after two attempts', async () => {
  const { events, requests } = await run([user('hi')], [tooLong(null), tooLong(null)]);
  expect(events.at(-1)).toMatchObject({ type: 'turnFailed', failure: { code: 'CONTEXT_TOO_LONG' } });
  expect(requests).toHaveLength(2);
});

test('A message says why the model stopped', async () => {
  const cut = await run(
    [user('hi')],
    [
      [
        { type: 'text', delta: 'Hi' },
        { type: 'finished', reason: 'length', usage: null },
      ],
    ],
  );
  expect(cut.events).toContainEqual(expect.objectContaining({ type: 'messageCompleted', finishReason: 'LENGTH' }));
  const whole = await run([user('hi')], [answer]);
  expect(whole.events).toContainEqual(expect.objectContaining({ type: 'messageCompleted', finishReason: 'STOP' }));
});

test('Data of a provider goes back to its own agent and endpoint, and to no other', async () => {
  const calls: ModelEvent[] = [
    { type: 'call', call: { id: 'c1', name: 'page', arguments: '{}' } },
    { type: 'finished', reason: 'calls', usage: null, state: { secret: 'sig' } },
  ];
  const foreign = withTool('c0', '1').map((item) =>
    item.role === 'assistant'
      ? { ...item, state: { agentId: 'b', endpoint: 'other', data: { secret: 'foreign' } } }
      : item,
  );
  const { events, requests } = await run([user('a'), ...foreign, user('hi')], [calls, answer]);
  expect(events).toContainEqual(expect.objectContaining({ type: 'callsRequested', state: expect.anything() }));
  const sent = JSON.stringify(requests.map((request) => request.history));
  expect(sent).toContain('sig');
  expect(sent).not.toContain('foreign');
});
