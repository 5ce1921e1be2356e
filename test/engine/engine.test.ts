import { describe, expect, test, vi } from 'vitest';
import { TurnAborted } from '../../src/engine/abort.ts';
import type { TurnEvent } from '../../src/engine/events.ts';
import type { PlannedAgent, RunPlan } from '../../src/engine/plan.ts';
import {
  ModelError,
  type ModelEvent,
  type ModelRequest,
  type ToolOutcome,
  type ToolPort,
  type TurnPorts,
} from '../../src/engine/ports.ts';
import { runTurn } from '../../src/engine/run-turn.ts';

const finished = { type: 'finished', reason: 'stop', usage: null } as const;
const say = (...deltas: string[]): ModelEvent[] => [
  ...deltas.map((delta) => ({ type: 'text', delta }) as const),
  finished,
];
const ask = (...calls: [id: string, name: string, args?: string][]): ModelEvent[] => [
  ...calls.map(([id, name, args = '{}']) => ({ type: 'call', call: { id, name, arguments: args } }) as const),
  finished,
];
const broken = (retryable: boolean) =>
  new ModelError({ code: retryable ? 'MODEL_ERROR' : 'MODEL_REFUSED', message: 'no', retryable });

/** A step of a model: its events, an error after them, or whatever the signal makes of it. */
type Step = readonly (ModelEvent | Error | 'hang')[];

function agent(name: string, over: Partial<PlannedAgent> = {}): PlannedAgent {
  const endpoint = { api: 'RESPONSES', apiUrl: 'http://localhost', apiKey: '', model: 'm' } as const;
  const bounds = { timeoutMs: 50, maxResultLength: 200, requiresApproval: false };
  const tool = { name: 'work', description: '', parameters: {}, ...bounds };
  return {
    id: name,
    name,
    instructions: name,
    endpoint,
    temperature: 0,
    maxTokens: 10,
    tools: [tool],
    handoffs: [],
    ...over,
  };
}

const limits = { maxSteps: 4, runTimeoutMs: 5_000, maxRetries: 2, maxResultLength: 200 };

function setUp(steps: readonly Step[], work: ToolPort['call'] = async () => ({ ok: true, result: 'done' })) {
  const requests: ModelRequest[] = [];
  const b = agent('b');
  const a = agent('a', { handoffs: [{ toolName: 'transfer_to_b', toAgentId: 'b', description: '' }] });
  const plan: RunPlan = {
    agents: new Map([a, b].map((entry) => [entry.id, entry])),
    startAgentId: 'a',
    history: [{ role: 'user', content: 'hi' }],
    limits,
    resumed: null,
  };
  let ids = 0;
  const ports: TurnPorts = {
    model: {
      async *stream(request, signal) {
        requests.push({ ...request, history: [...request.history] });
        const step = steps[requests.length - 1];
        if (!step) throw new Error('the model was asked once too often');
        for (const entry of step) {
          if (entry instanceof Error) throw entry;
          if (entry === 'hang') {
            await new Promise((_, reject) => {
              if (signal.aborted) reject(signal.reason);
              signal.addEventListener('abort', () => reject(signal.reason));
            });
          } else yield entry;
        }
      },
    },
    tools: { call: work },
    newId: () => `id${++ids}`,
    messageId: (step) => `message${step}`,
    now: () => new Date(),
  };
  return { plan, ports, requests };
}

async function drain(
  setting: ReturnType<typeof setUp>,
  signal: AbortSignal = new AbortController().signal,
  onEvent: (event: TurnEvent) => void = () => {},
): Promise<TurnEvent[]> {
  const events: TurnEvent[] = [];
  for await (const event of runTurn(setting.plan, setting.ports, signal)) {
    events.push(event);
    onEvent(event);
  }
  return events;
}

const types = (events: readonly TurnEvent[]) => events.map((event) => event.type);
const storedText = (events: readonly TurnEvent[]) =>
  events.flatMap((event) => (event.type === 'messageCompleted' ? [[event.status, event.content]] : []));

/** What holds of every turn, however it went. */
function expectClosed(events: readonly TurnEvent[]): void {
  const ends = ['turnCompleted', 'turnFailed', 'turnCancelled'];
  expect(events.filter((event) => ends.includes(event.type))).toEqual([events.at(-1)]);
  const idsOf = (type: 'toolCallStarted' | 'toolCallCompleted') =>
    events.flatMap((event) => (event.type === type ? [event.toolCall.callId] : [])).sort();
  expect(idsOf('toolCallCompleted')).toEqual(idsOf('toolCallStarted'));
  expect(types(events).filter((type) => type === 'messageCompleted')).toHaveLength(
    types(events).filter((type) => type === 'messageStarted').length,
  );
  const texts = new Map<string, string>();
  for (const event of events) {
    if (event.type === 'textDelta') {
      expect(event.offset).toBe((texts.get(event.messageId) ?? '').length);
      texts.set(event.messageId, (texts.get(event.messageId) ?? '') + event.delta);
    }
    if (event.type === 'textRetracted')
      texts.set(event.messageId, (texts.get(event.messageId) ?? '').slice(0, event.length));
    if (event.type === 'messageCompleted') expect(event.content).toBe(texts.get(event.messageId));
  }
}

describe('a turn', () => {
  test('A turn returns the text of the model', async () => {
    const setting = setUp([say('Hel', 'lo')]);
    const events = await drain(setting);
    expectClosed(events);
    expect(types(events)).toEqual([
      'messageStarted',
      'textDelta',
      'textDelta',
      'modelCalled',
      'messageCompleted',
      'turnCompleted',
    ]);
  });

  test('A turn runs the calls of a step side by side, and gives the results back in the order of the calls', async () => {
    let running = 0;
    let most = 0;
    const setting = setUp([ask(['1', 'work'], ['2', 'work'], ['3', 'work']), say('ok')], async ({ id }) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, id === '1' ? 20 : 1));
      running--;
      return { ok: true, result: id };
    });
    const events = await drain(setting);
    expectClosed(events);
    expect(most).toBe(3);
    const completed = events.flatMap((event) => (event.type === 'toolCallCompleted' ? [event.toolCall.callId] : []));
    expect(completed.at(-1)).toBe('1');
    expect(setting.requests[1]?.history.slice(-3)).toEqual([
      { role: 'tool', callId: '1', output: '"1"' },
      { role: 'tool', callId: '2', output: '"2"' },
      { role: 'tool', callId: '3', output: '"3"' },
    ]);
  });

  test('A turn hands off once, after the tools, and the next step is the other agent’s', async () => {
    const setting = setUp([
      ask(['1', 'work'], ['2', 'transfer_to_b', '{"reason":"because"}'], ['3', 'transfer_to_b']),
      say('I am b'),
    ]);
    const events = await drain(setting);
    expectClosed(events);
    expect(events.filter((event) => event.type === 'handoffOccurred')).toMatchObject([
      { fromAgentId: 'a', toAgentId: 'b', reason: 'because', callId: '2' },
    ]);
    expect(setting.requests[1]).toMatchObject({ instructions: 'b' });
    expect(setting.requests[1]?.history.filter((item) => item.role === 'tool')).toHaveLength(3);
  });

  test.each<[string, string, string | undefined, ToolPort['call'] | undefined]>([
    ['a tool that does not exist', 'nothing', undefined, undefined],
    ['arguments that are not JSON', 'work', '{"a":', undefined],
    ['a tool that throws', 'work', undefined, () => Promise.reject(new Error('secret'))],
    ['a tool that says no', 'work', undefined, async () => ({ ok: false, error: 'no' }) satisfies ToolOutcome],
    ['a tool that never answers', 'work', undefined, () => new Promise<ToolOutcome>(() => {})],
    ['a result that is not JSON', 'work', undefined, async () => ({ ok: true, result: 1n })],
  ])('A turn goes on after %s', async (_what, name, args, work) => {
    const setting = setUp([ask(['1', name, args ?? '{}']), say('sorry')], work);
    const events = await drain(setting);
    expectClosed(events);
    expect(events.at(-1)).toEqual({ type: 'turnCompleted' });
    const output = setting.requests[1]?.history.at(-1);
    expect(output).toMatchObject({ role: 'tool', callId: '1' });
    expect(JSON.stringify(output)).toMatch(/error/);
    expect(JSON.stringify(events)).not.toMatch(/secret/);
  });

  test('A turn bounds a result, and keeps it storable', async () => {
    const setting = setUp([ask(['1', 'work']), say('ok')], async () => ({
      ok: true,
      result: { text: `\0\ud800${'x'.repeat(1_000)}` },
    }));
    const events = await drain(setting);
    const output = setting.requests[1]?.history.at(-1);
    expect(output?.role === 'tool' && output.output.length).toBeLessThanOrEqual(200);
    expect(JSON.stringify(events)).not.toMatch(/\\u0000|\\ud800/);
  });

  test.each([
    ['quotes', '"'.repeat(5_000)],
    ['line ends', '\n'.repeat(5_000)],
    ['control characters', '\u0001'.repeat(5_000)],
    ['emoji', '😀'.repeat(5_000)],
    ['a list that is nested deep', Array.from({ length: 120 }).reduce<unknown>((inner) => ['"', inner], 1)],
  ])('A turn bounds a result of %s as it is written for the model', async (_what, result) => {
    const setting = setUp([ask(['1', 'work']), say('ok')], async () => ({ ok: true, result }));
    await drain(setting);
    const output = setting.requests[1]?.history.at(-1);
    const written = output?.role === 'tool' ? output.output : '';
    expect(JSON.parse(written)).toMatchObject({ truncated: true, characters: expect.any(Number) });
    expect(written.length).toBeLessThanOrEqual(200);
    expect(written.length).toBeGreaterThan(185);
  });

  test('A turn begins no call if it is stopped as its calls are announced', async () => {
    const controller = new AbortController();
    const called: string[] = [];
    const setting = setUp([ask(['1', 'work'], ['2', 'work'])], async ({ id }) => {
      called.push(id);
      return { ok: true, result: id };
    });
    const events = await drain(setting, controller.signal, (event) => {
      if (event.type === 'toolCallStarted') controller.abort(new TurnAborted());
    });
    expectClosed(events);
    expect(called).toEqual([]);
  });

  test('A turn gives repeated and empty call ids new ones', async () => {
    const setting = setUp([ask(['x', 'work'], ['x', 'work'], ['', 'work']), ask(['x', 'work']), say('ok')]);
    const events = await drain(setting);
    expectClosed(events);
    const ids = events.flatMap((event) => (event.type === 'toolCallStarted' ? [event.toolCall.callId] : []));
    expect(new Set(ids).size).toBe(4);
  });

  test('A turn stops after its maximum of steps', async () => {
    const setting = setUp(Array.from({ length: 4 }, (_, n) => ask([`${n}`, 'work'])));
    const events = await drain(setting);
    expectClosed(events);
    expect(events.at(-1)).toMatchObject({ type: 'turnFailed', failure: { code: 'MAX_STEPS_EXCEEDED' } });
    expect(setting.requests).toHaveLength(4);
  });
});

describe('a model that fails', () => {
  test('A model that fails is asked again, and what readers saw is taken back', async () => {
    const setting = setUp([[...say('Hel').slice(0, -1), broken(true)], say('Hello')]);
    const events = await drain(setting);
    expectClosed(events);
    expect(types(events)).toContain('textRetracted');
    expect(storedText(events)).toEqual([['COMPLETE', 'Hello']]);
    expect(events.filter((event) => event.type === 'modelCalled')).toHaveLength(2);
  });

  test.each([
    ['after the pause that its provider asks for', 500, 1],
    ['not at all where that is longer than a person waits', 60_000, 0],
  ])('A model that fails is asked again %s', async (_what, retryAfterMs, retries) => {
    const busy = new ModelError({ code: 'RATE_LIMITED', message: 'busy', retryable: true }, { retryAfterMs });
    const setting = setUp([[busy], say('Hello')]);
    const events = await drain(setting);
    expect(setting.requests).toHaveLength(1 + retries);
    expect(events.at(-1)).toMatchObject(
      retries > 0 ? { type: 'turnCompleted' } : { type: 'turnFailed', failure: { code: 'RATE_LIMITED' } },
    );
  });

  test('A model that fails without a retry left leaves its text as PARTIAL', async () => {
    const step: Step = [...say('Hel').slice(0, -1), broken(true)];
    const events = await drain(setUp([step, step, step]));
    expectClosed(events);
    expect(storedText(events)).toEqual([['PARTIAL', 'Hel']]);
    expect(events.at(-1)).toMatchObject({ type: 'turnFailed', failure: { code: 'MODEL_ERROR' } });
  });

  test('A model that refused is not asked again', async () => {
    const setting = setUp([[broken(false)]]);
    const events = await drain(setting);
    expect(events.at(-1)).toMatchObject({ type: 'turnFailed', failure: { code: 'MODEL_REFUSED' } });
    expect(setting.requests).toHaveLength(1);
  });

  test('A model stream that ends without its terminal event has broken off', async () => {
    const cut: Step = [{ type: 'text', delta: 'Hel' }];
    const events = await drain(setUp([cut, cut, cut]));
    expectClosed(events);
    expect(events.at(-1)).toMatchObject({ type: 'turnFailed', failure: { code: 'MODEL_ERROR', retryable: true } });
  });

  test('An unknown failure of a model is INTERNAL, and reveals nothing', async () => {
    const events = await drain(setUp([[new Error('secret')]]));
    const last = events.at(-1);
    expect(last).toMatchObject({ type: 'turnFailed', failure: { code: 'INTERNAL' } });
    expect(last?.type === 'turnFailed' && last.failure.message).not.toMatch(/secret/);
  });
});

describe('a turn that is stopped', () => {
  test('A turn that is stopped at any event ends as cancelled, with everything closed', async () => {
    const steps: Step[] = [ask(['1', 'work'], ['2', 'work'], ['3', 'transfer_to_b']), say('one', 'two'), say('never')];
    const whole = await drain(setUp(steps));
    for (let cut = 0; cut < whole.length - 1; cut++) {
      const controller = new AbortController();
      let seen = 0;
      const events = await drain(setUp(steps), controller.signal, () => {
        if (seen++ === cut) controller.abort(new TurnAborted());
      });
      expectClosed(events);
      expect(['turnCancelled', 'turnCompleted']).toContain(events.at(-1)?.type);
      if (cut < whole.length - 3) expect(events.at(-1)?.type).toBe('turnCancelled');
    }
  });

  test('A turn that is stopped while the model hangs keeps the text', async () => {
    const controller = new AbortController();
    const events = await drain(setUp([[{ type: 'text', delta: 'Hel' }, 'hang']]), controller.signal, (event) => {
      if (event.type === 'textDelta') controller.abort(new TurnAborted());
    });
    expectClosed(events);
    expect(storedText(events)).toEqual([['PARTIAL', 'Hel']]);
  });

  test('A turn that is stopped while a tool hangs closes its calls as CANCELLED', async () => {
    const controller = new AbortController();
    let begun = 0;
    const setting = setUp([ask(['1', 'work'], ['2', 'work'])], () => {
      begun += 1;
      // Not by a timer: on a busy machine the timeout of the calls would be first.
      if (begun === 2) queueMicrotask(() => controller.abort(new TurnAborted()));
      return new Promise<ToolOutcome>(() => {});
    });
    const events = await drain(setting, controller.signal);
    expectClosed(events);
    expect(events.flatMap((event) => (event.type === 'toolCallCompleted' ? [event.toolCall.status] : []))).toEqual([
      'CANCELLED',
      'CANCELLED',
    ]);
  });

  test('A turn that is stopped by its deadline fails as MODEL_TIMEOUT', async () => {
    vi.useFakeTimers();
    try {
      const draining = drain(setUp([['hang']]));
      await vi.advanceTimersByTimeAsync(limits.runTimeoutMs);
      expect((await draining).at(-1)).toMatchObject({ type: 'turnFailed', failure: { code: 'MODEL_TIMEOUT' } });
    } finally {
      vi.useRealTimers();
    }
  });

  test('A turn that is stopped by its server fails with the reason of the server', async () => {
    const controller = new AbortController();
    controller.abort(new TurnAborted({ code: 'INTERRUPTED', message: 'down', retryable: true }));
    const events = await drain(setUp([]), controller.signal);
    expect(events).toEqual([
      { type: 'turnFailed', failure: { code: 'INTERRUPTED', message: 'down', retryable: true } },
    ]);
  });
});
