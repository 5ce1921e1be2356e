import { expect, test } from 'vitest';
import type { TurnEvent } from '../support/clients/turn-reader.ts';
import { type EndedTurn, findFaults } from './find-faults.ts';

const call = {
  id: 'tcl_1',
  callId: 'call',
  name: 'look',
  arguments: '{}',
  status: 'RUNNING',
  result: null,
  error: null,
};
const event = (seq: number, __typename: string, rest: Partial<TurnEvent> = {}): TurnEvent => {
  return { seq, __typename, runId: 'run', ...rest };
};
const events = [
  event(1, 'RunStarted'),
  event(2, 'MessageStarted', { messageId: 'm' }),
  event(3, 'TextDelta', { messageId: 'm', offset: 0, delta: 'I look.' }),
  event(4, 'ToolCallStarted', { toolCall: call }),
  event(5, 'ToolCallCompleted', { toolCall: { ...call, status: 'SUCCEEDED' } }),
  event(6, 'RunCompleted'),
];
const run = {
  status: 'COMPLETED',
  lastSeq: 6,
  messages: [{ id: 'm', status: 'COMPLETE', content: 'I look.' }],
  toolCalls: [{ callId: 'call', status: 'SUCCEEDED' }],
};
const whole: EndedTurn = { run, readers: [events, events], received: ['call'] };
const without = (seq: number) => events.filter((each) => each.seq !== seq);

test('The checker finds nothing in a whole turn', () => {
  expect(findFaults(whole)).toEqual([]);
});

test.each<[string, Partial<EndedTurn>, RegExp]>([
  ['a second end', { readers: [[...events, event(7, 'RunFailed')]] }, /2 ends/],
  ['no end', { readers: [without(6)] }, /0 ends/],
  ['an end that is not the one of the row', { readers: [[...without(6), event(6, 'RunFailed')]] }, /told RunFailed/],
  ['an end with another seq', { readers: [[...without(6), event(9, 'RunCompleted')]] }, /ended at 9/],
  ['a text that was lost on its way', { readers: [without(3)] }, /another text/],
  ['a text that is not stored', { run: { ...run, messages: [] } }, /not stored/],
  ['an event that came twice', { readers: [[...events.slice(0, 3), ...events.slice(2)]] }, /does not grow/],
  ['readers who were given different events', { readers: [events, without(4)] }, /different events/],
  ['a call whose end was not told', { readers: [without(5)] }, /told nothing of call/],
  ['a tool that was called twice', { received: ['call', 'call'] }, /2 times/],
  ['a call that the rows do not know', { received: ['call', 'other'] }, /nothing of it/],
  [
    'a call that was carried out and is stored as not carried out',
    { run: { ...run, toolCalls: [{ callId: 'call', status: 'CANCELLED' }] } },
    /rows say CANCELLED/,
  ],
  ['a success of a tool that was never called', { received: [] }, /never received/],
  ['a run that never ended', { run: { ...run, status: 'RUNNING' } }, /not ended/],
  [
    'a message that was left open',
    { run: { ...run, messages: [{ id: 'm', status: 'STREAMING', content: 'I look.' }] } },
    /still being written/,
  ],
])('The checker finds a planted fault: %s', (_what, planted, fault) => {
  expect(findFaults({ ...whole, ...planted }).join(' ')).toMatch(fault);
});
