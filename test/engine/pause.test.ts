import { expect, test } from 'vitest';
import { TurnAborted } from '../../src/engine/abort.ts';
import type { ResumedTurn } from '../../src/engine/continued-turn.ts';
import type { TurnEvent } from '../../src/engine/events.ts';
import type { CallDecision, PausedTurn } from '../../src/engine/paused-turn.ts';
import type { PlannedAgent, RunPlan } from '../../src/engine/plan.ts';
import type { ModelEvent, ModelRequest, ToolPort, TurnPorts } from '../../src/engine/ports.ts';
import { describeDecidedCalls } from '../../src/engine/requested-calls.ts';
import { runTurn } from '../../src/engine/run-turn.ts';

const finished = { type: 'finished', reason: 'stop', usage: null } as const;
const say = (delta: string): ModelEvent[] => [{ type: 'text', delta }, finished];
const ask = (...calls: [id: string, name: string, args?: string][]): ModelEvent[] => [
  ...calls.map(([id, name, args = '{}']) => ({ type: 'call', call: { id, name, arguments: args } }) as const),
  finished,
];

const bounds = { description: '', parameters: {}, timeoutMs: 1_000, maxResultLength: 200 };
const agents: PlannedAgent[] = ['a', 'b'].map((id) => ({
  id,
  name: id,
  instructions: id,
  endpoint: { api: 'RESPONSES', apiUrl: 'http://localhost', apiKey: '', model: 'm' },
  temperature: 0,
  maxTokens: 10,
  tools: [
    { ...bounds, name: 'work', requiresApproval: false },
    { ...bounds, name: 'risk', requiresApproval: true },
  ],
  handoffs: id === 'a' ? [{ toolName: 'transfer_to_b', toAgentId: 'b', description: '' }] : [],
}));
const plan: RunPlan = {
  agents: new Map(agents.map((agent) => [agent.id, agent])),
  startAgentId: 'a',
  history: [{ role: 'user', content: 'hi' }],
  limits: { maxSteps: 4, runTimeoutMs: 5_000, maxRetries: 0, maxResultLength: 200 },
  resumed: null,
};

function setUp(steps: readonly (readonly ModelEvent[])[], check: ToolPort['check'] = () => null) {
  const requests: ModelRequest[] = [];
  const called: { id: string; arguments: unknown }[] = [];
  let ids = 0;
  const ports: TurnPorts = {
    model: {
      async *stream(request) {
        requests.push({ ...request, history: [...request.history] });
        const step = steps[requests.length - 1];
        if (!step) throw new Error('the model was asked once too often');
        yield* step;
      },
    },
    tools: {
      check,
      call: async ({ id, arguments: args }) => {
        called.push({ id, arguments: args });
        return { ok: true, result: id };
      },
    },
    newId: () => `id${++ids}`,
    messageId: (step) => `message${step}`,
    now: () => new Date(),
  };
  return { ports, requests, called };
}

async function drain(
  ports: TurnPorts,
  resumed: ResumedTurn | null = null,
  signal = new AbortController().signal,
  onEvent: (event: TurnEvent) => void = () => {},
): Promise<TurnEvent[]> {
  const events: TurnEvent[] = [];
  for await (const event of runTurn({ ...plan, resumed }, ports, signal)) {
    events.push(event);
    onEvent(event);
  }
  return events;
}

/** How a turn continues when a person has decided. */
const continued = (paused: PausedTurn, decisions: ReadonlyMap<string, CallDecision>): ResumedTurn => ({
  paused,
  decisions,
  toolCalls: describeDecidedCalls(paused, decisions),
});

/** What the events say of calls. */
const callsIn = (events: readonly TurnEvent[]) =>
  events.flatMap((event) => ('toolCall' in event ? [`${event.toolCall.callId} ${event.toolCall.status}`] : []));

/** Runs a turn up to its pause, and puts what it left through JSON. */
async function pause(...calls: [id: string, name: string, args?: string][]): Promise<PausedTurn> {
  const last = (await drain(setUp([ask(...calls)]).ports)).at(-1);
  if (last?.type !== 'turnPaused') throw new Error(`It did not pause: ${last?.type}`);
  const paused: PausedTurn = JSON.parse(JSON.stringify(last.paused));
  return paused;
}

const decision = (approved: boolean, editedArguments: string | null = null): CallDecision => ({
  id: 'row',
  messageId: null,
  approved,
  editedArguments,
  decidedBy: 'alice',
  decidedAt: new Date(1_000),
});

test('A step runs the calls that need no approval, and then waits', async () => {
  const { ports, requests, called } = setUp([
    ask(['1', 'risk', '{"a":1}'], ['2', 'work'], ['3', 'transfer_to_b'], ['4', 'risk']),
  ]);
  const events = await drain(ports);
  expect(callsIn(events)).toEqual(['2 RUNNING', '2 SUCCEEDED']);
  expect(events.at(-1)).toMatchObject({
    type: 'turnPaused',
    waiting: [
      { callId: '1', index: 0, arguments: '{"a":1}', status: 'AWAITING_APPROVAL', startedAt: null },
      { callId: '4', index: 3, arguments: '{}', status: 'AWAITING_APPROVAL', startedAt: null },
    ],
    paused: { agentId: 'a', step: 0, outputs: [['2', '"2"']], usedCallIds: ['1', '2', '3', '4'] },
  });
  expect(events.some(({ type }) => type === 'handoffOccurred')).toBe(false);
  expect([requests.length, called.length]).toEqual([1, 1]);
});

test('The engine asks nobody to approve a call that cannot work', async () => {
  const calls = ask(['1', 'risk', '{'], ['2', 'none'], ['3', 'risk', '{"bad":1}']);
  const { ports } = setUp([calls, say('ok')], ({ arguments: args }) => (JSON.stringify(args) === '{}' ? null : 'bad'));
  const events = await drain(ports);
  expect(callsIn(events).slice(3).sort()).toEqual(['1 FAILED', '2 FAILED', '3 SUCCEEDED']);
  expect(events.at(-1)?.type).toBe('turnCompleted');
});

test('A turn goes on from its pause: denied and approved calls, the handoff, the next step', async () => {
  const paused = await pause(
    ['1', 'risk'],
    ['2', 'work'],
    ['3', 'transfer_to_b'],
    ['4', 'risk', '{"a":1}'],
    ['5', 'risk'],
  );
  const { ports, requests, called } = setUp([say('done')]);
  const decisions = new Map([
    ['1', decision(false)],
    ['4', decision(true, '{"a":2}')],
    ['5', decision(true)],
  ]);
  const events = await drain(ports, continued(paused, decisions));
  expect(callsIn(events)).toEqual(['1 DENIED', '4 RUNNING', '5 RUNNING', '4 SUCCEEDED', '5 SUCCEEDED']);
  expect(events[0]).toMatchObject({ toolCall: { decidedBy: 'alice', finishedAt: new Date(1_000), startedAt: null } });
  expect(events[1]).toMatchObject({ toolCall: { arguments: '{"a":1}', editedArguments: '{"a":2}', index: 3 } });
  expect(called).toEqual([
    { id: '4', arguments: { a: 2 } },
    { id: '5', arguments: {} },
  ]);
  expect(events.filter(({ type }) => type === 'handoffOccurred')).toHaveLength(1);
  expect(events.at(-1)?.type).toBe('turnCompleted');
  expect(requests).toHaveLength(1);
  expect(requests[0]).toMatchObject({ instructions: 'b' });
  expect(requests[0]?.history).toEqual([
    { role: 'user', content: 'hi' },
    {
      role: 'assistant',
      content: '',
      calls: [
        { id: '1', name: 'risk', arguments: '{}' },
        { id: '2', name: 'work', arguments: '{}' },
        { id: '3', name: 'transfer_to_b', arguments: '{}' },
        { id: '4', name: 'risk', arguments: '{"a":2}' },
        { id: '5', name: 'risk', arguments: '{}' },
      ],
    },
    { role: 'tool', callId: '1', output: '{"error":"A person denied this call."}' },
    { role: 'tool', callId: '2', output: '"2"' },
    { role: 'tool', callId: '3', output: expect.stringContaining('active agent') },
    { role: 'tool', callId: '4', output: '"4"' },
    { role: 'tool', callId: '5', output: '"5"' },
  ]);
});

test('Ids of calls stay unique across the pause', async () => {
  const paused = await pause(['x', 'risk']);
  const { ports } = setUp([ask(['x', 'work']), say('done')]);
  const events = await drain(ports, continued(paused, new Map([['x', decision(true)]])));
  const ids = events.flatMap((event) => (event.type === 'toolCallStarted' ? [event.toolCall.callId] : []));
  expect(new Set(ids).size).toBe(2);
});

test('A turn that is stopped at any event after the pause ends as cancelled with everything closed', async () => {
  const paused = await pause(['1', 'risk'], ['2', 'risk'], ['3', 'risk']);
  const decisions = new Map([
    ['1', decision(true)],
    ['2', decision(false)],
    ['3', decision(true)],
  ]);
  const whole = await drain(setUp([say('done')]).ports, continued(paused, decisions));
  for (let cut = -1; cut < whole.length - 1; cut++) {
    const controller = new AbortController();
    if (cut < 0) controller.abort(new TurnAborted());
    let seen = 0;
    const stopped = await drain(setUp([say('done')]).ports, continued(paused, decisions), controller.signal, () => {
      if (seen++ === cut) controller.abort(new TurnAborted());
    });
    const ended = callsIn(stopped).filter((call) => !call.endsWith('RUNNING'));
    expect(ended.map((call) => call[0]).sort()).toEqual(['1', '2', '3']);
    const last = stopped.at(-1)?.type;
    // Once the text is whole, there is nothing left to stop.
    expect(cut < whole.length - 3 ? ['turnCancelled'] : ['turnCancelled', 'turnCompleted']).toContain(last);
  }
});

test('A turn that is stopped while its other calls run does not wait', async () => {
  const controller = new AbortController();
  const { ports } = setUp([ask(['1', 'risk'], ['2', 'work'])]);
  const events = await drain(ports, null, controller.signal, (event) => {
    if (event.type === 'toolCallCompleted') controller.abort(new TurnAborted());
  });
  expect(events.at(-1)?.type).toBe('turnCancelled');
});

test('The time before the pause counts, the time of waiting does not', async () => {
  const paused = await pause(['1', 'risk']);
  expect(paused.elapsedMs).toBeLessThan(plan.limits.runTimeoutMs);
  const decisions = new Map([['1', decision(true)]]);
  const { ports } = setUp([]);
  const hanging: TurnPorts = {
    ...ports,
    model: {
      async *stream(_request, signal) {
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      },
    },
  };
  const spent = { ...paused, elapsedMs: plan.limits.runTimeoutMs };
  const events = await drain(hanging, continued(spent, decisions));
  expect(events.at(-1)).toMatchObject({ type: 'turnFailed', failure: { code: 'MODEL_TIMEOUT' } });
});

test('A turn that resumes without a decision on each call fails, and nothing is run', async () => {
  const paused = await pause(['1', 'risk'], ['2', 'risk']);
  const { ports, called } = setUp([]);
  const events = await drain(ports, continued(paused, new Map([['1', decision(true)]])));
  expect(callsIn(events)).toEqual(['1 RUNNING', '1 CANCELLED']);
  expect(events.at(-1)).toMatchObject({ type: 'turnFailed', failure: { code: 'INTERNAL' } });
  expect(called).toEqual([]);
});
