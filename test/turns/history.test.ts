import { describe, expect, test } from 'vitest';
import type { CallStatus } from '../../src/engine/events.ts';
import { buildHistory, type PastCall, type PastTurn } from '../../src/engine/history.ts';
import type { HistoryItem } from '../../src/engine/ports.ts';
import { nameHandoffs } from '../../src/runs/plan/handoff-names.ts';

const call = (over: Partial<PastCall> = {}): PastCall => ({
  callId: 'c1',
  step: 0,
  index: 0,
  name: 'lookup_order',
  arguments: '{"orderNumber":"1"}',
  editedArguments: null,
  status: 'SUCCEEDED',
  result: { ok: true },
  error: null,
  ...over,
});
const turn = (over: Partial<PastTurn> = {}): PastTurn => ({
  messages: [{ role: 'USER', content: 'hi', step: null }],
  calls: [],
  handoffs: [],
  ...over,
});
const roomy = 100_000;

/** Every call is followed by exactly one result, before anything else is said. */
function expectValid(items: readonly HistoryItem[]): void {
  let open: string[] = [];
  for (const item of items) {
    if (item.role === 'tool') {
      expect(open).toContain(item.callId);
      open = open.filter((id) => id !== item.callId);
      continue;
    }
    expect(open).toEqual([]);
    if (item.role === 'assistant') {
      expect(item.content !== '' || item.calls.length > 0).toBe(true);
      for (const { arguments: written } of item.calls) expect(JSON.parse(written)).toBeTypeOf('object');
      open = item.calls.map(({ id }) => id);
    } else {
      expect(item.content).not.toBe('');
    }
  }
  expect(open).toEqual([]);
}

describe('the history for the model', () => {
  test('The history for the model puts text, calls, results and handoffs of each step in their order', () => {
    const items = buildHistory(
      [
        turn({
          messages: [
            { role: 'USER', content: 'hi', step: null },
            { role: 'ASSISTANT', content: 'let me look', step: 0 },
            { role: 'ASSISTANT', content: 'done', step: 2 },
          ],
          calls: [call({ callId: 'b', index: 1 }), call({ callId: 'a', index: 0 })],
          handoffs: [{ callId: 'h', step: 1, toolName: 'transfer_to_orders', reason: 'orders' }],
        }),
      ],
      roomy,
    );
    expectValid(items);
    expect(items.map((item) => (item.role === 'assistant' ? item.calls.map(({ id }) => id) : item.role))).toEqual([
      'user',
      ['a', 'b'],
      'tool',
      'tool',
      ['h'],
      'tool',
      [],
    ]);
  });

  test.each<CallStatus>(['PENDING', 'AWAITING_APPROVAL', 'RUNNING', 'SUCCEEDED', 'FAILED', 'DENIED', 'CANCELLED'])(
    'The history for the model is valid after a call that was left %s',
    (status) => {
      const items = buildHistory([turn({ calls: [call({ status, result: null })] }), turn()], roomy);
      expectValid(items);
      expect(items.filter((item) => item.role === 'tool')).toHaveLength(1);
    },
  );

  test('The history for the model is valid if the model wrote arguments that are not a JSON object', () => {
    for (const written of ['', '{', '[]', 'null', '"x"', '{"a":']) {
      const items = buildHistory([turn({ calls: [call({ arguments: written })] })], roomy);
      expectValid(items);
    }
  });

  test('The history for the model leaves out messages without a text', () => {
    const messages = [
      { role: 'USER', content: 'hi', step: null },
      { role: 'ASSISTANT', content: '', step: 0 },
    ] as const;
    expect(buildHistory([turn({ messages })], roomy)).toEqual([{ role: 'user', content: 'hi' }]);
  });

  test('The history for the model drops whole turns from the oldest on, and never the one that begins', () => {
    const turns = ['one', 'two', 'three'].map((content) =>
      turn({ messages: [{ role: 'USER', content: `${content} `.repeat(100), step: null }], calls: [call()] }),
    );
    const all = buildHistory(turns, roomy);
    const two = buildHistory(turns, 400);
    const one = buildHistory(turns, 1);
    expect(all.filter((item) => item.role === 'user')).toHaveLength(3);
    expect(two.length).toBeLessThan(all.length);
    expect(two[0]).toMatchObject({ role: 'user' });
    expect(one.filter((item) => item.role === 'user')).toEqual([{ role: 'user', content: 'three '.repeat(100) }]);
    for (const items of [all, two, one]) expectValid(items);
  });
});

describe('the names of handoffs', () => {
  const orders = { id: '0001', name: 'Orders & Returns' };
  const [service, refunds] = [
    { id: '0002', name: '客服' },
    { id: '0003', name: '退款' },
  ];

  test('Names of handoffs are the agent’s in snake case, with a hash of its id if that says nothing or is another’s as well', () => {
    const twins = [
      { id: '0004', name: 'Twin' },
      { id: '0005', name: 'twin!' },
    ];
    const names = nameHandoffs([orders, service, refunds, ...twins]);
    expect(names.get(orders.id)).toBe('transfer_to_orders_returns');
    for (const { id } of [service, refunds]) expect(names.get(id)).toMatch(/^transfer_to_agent_[0-9a-f]{8}$/);
    for (const { id } of twins) expect(names.get(id)).toMatch(/^transfer_to_twin_[0-9a-f]{8}$/);
    expect(new Set(names.values()).size).toBe(5);
  });

  test('Names of handoffs depend on no order and on no agent with another name', () => {
    const names = nameHandoffs([orders, service, refunds]);
    expect(nameHandoffs([refunds, { id: '0006', name: 'Sales' }, orders]).get(refunds.id)).toBe(names.get(refunds.id));
    expect(nameHandoffs([refunds]).get(refunds.id)).toBe(names.get(refunds.id));
  });

  test('Names of handoffs are one agent’s only, whatever others are called, and as long as providers allow', () => {
    const hashed = nameHandoffs([refunds]).get(refunds.id) ?? '';
    const long = Array.from({ length: 3 }, (_, index) => ({ id: `l${index}`, name: `${'long '.repeat(40)}${index}` }));
    const names = nameHandoffs([refunds, { id: '0007', name: hashed.replace('transfer_to_', '') }, ...long]);
    expect(names.get(refunds.id)).toBe(hashed);
    expect(new Set(names.values()).size).toBe(5);
    for (const name of names.values()) expect(name).toMatch(/^[a-z0-9_]{1,64}$/);
  });
});
