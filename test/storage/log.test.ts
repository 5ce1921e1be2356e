import { describe, expect, test } from 'vitest';
import { packEvents } from '../../src/log/archive.ts';
import { RunCursor } from '../../src/log/cursor.ts';
import type { RunEvent, RunEventPayload } from '../../src/log/event.ts';
import { RunEventBuffer } from '../../src/log/event-buffer.ts';
import { LiveRunLogs } from '../../src/log/live-logs.ts';
import { unpackArchive } from '../support/archive.ts';

const runId = 'run';
const text = (delta: string, offset: number, messageId = 'm1'): RunEventPayload => ({
  type: 'TextDelta',
  messageId,
  offset,
  delta,
});

/** A run with two messages, reasoning, a retraction, a tool call and a handoff. */
function sampleRun(): RunEvent[] {
  const log = new LiveRunLogs();
  const toolCall = {
    id: 'call-row',
    callId: 'c1',
    messageId: 'm1',
    step: 0,
    index: 0,
    name: 'lookup_order',
    arguments: '{"orderNumber":"1042"}',
    editedArguments: null,
    decidedBy: null,
    result: null,
    status: 'RUNNING',
    error: null,
    agentId: 'a1',
    startedAt: new Date(1_000),
    finishedAt: null,
    approvalExpiresAt: null,
  } as const;
  const payloads: RunEventPayload[] = [
    { type: 'RunStarted', userMessageId: 'u1' },
    { type: 'ReasoningDelta', messageId: 'm1', offset: 0, delta: 'hm' },
    { type: 'ReasoningDelta', messageId: 'm1', offset: 2, delta: 'm' },
    { type: 'MessageStarted', messageId: 'm1', agentId: 'a1' },
    text('Hel', 0),
    text('lo ', 3),
    text('😀', 6),
    { type: 'TextRetracted', messageId: 'm1', length: 0 },
    text('Again', 0),
    { type: 'MessageCompleted', messageId: 'm1' },
    {
      type: 'ApprovalRequested',
      toolCall: { ...toolCall, status: 'AWAITING_APPROVAL', startedAt: null, approvalExpiresAt: new Date(9_000) },
    },
    { type: 'ToolCallStarted', toolCall: { ...toolCall, editedArguments: '{}', decidedBy: 'alice' } },
    {
      type: 'ToolCallCompleted',
      toolCall: { ...toolCall, status: 'SUCCEEDED', result: { ok: [1, null] }, finishedAt: new Date(2_000) },
    },
    {
      type: 'HandoffOccurred',
      handoffId: 'handoff-row',
      fromAgentId: 'a1',
      toAgentId: 'a2',
      reason: null,
      happenedAt: new Date(3_000),
      happenedSeq: 14,
    },
    { type: 'MessageStarted', messageId: 'm2', agentId: 'a2' },
    text('B', 0, 'm2'),
    text('ye', 1, 'm2'),
    { type: 'MessageCompleted', messageId: 'm2' },
    { type: 'RunCompleted' },
  ];
  return payloads.map((payload) => log.append(runId, payload));
}

/** What a client has after applying events as the contract says. */
function applyText(events: readonly RunEvent[], texts: Record<string, string> = {}): Record<string, string> {
  for (const event of events) {
    if (event.type === 'TextDelta') {
      texts[event.messageId] = (texts[event.messageId] ?? '').slice(0, event.offset) + event.delta;
    }
    if (event.type === 'TextRetracted') texts[event.messageId] = (texts[event.messageId] ?? '').slice(0, event.length);
  }
  return texts;
}

async function drain(cursor: RunCursor): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of cursor) events.push(event);
  return events;
}

function tailOf(events: readonly RunEvent[]): RunEventBuffer {
  const tail = new RunEventBuffer(runId);
  tail.fill(events);
  return tail;
}

describe('the archive', () => {
  test('The archive gives the events back as they were, boundaries and all', async () => {
    const events = sampleRun();
    expect(await unpackArchive(runId, await packEvents(events))).toEqual(events);
  });

  test('The archive keeps the boundaries of every cut', async () => {
    const events = sampleRun();
    for (let cut = 0; cut <= events.length; cut++) {
      expect(await unpackArchive(runId, await packEvents(events.slice(0, cut)))).toEqual(events.slice(0, cut));
    }
  });

  test('The archive refuses what is not an archive', async () => {
    await expect(unpackArchive(runId, '[{"seq":1,"at":0,"type":"Nonsense"}]')).rejects.toThrow();
    await expect(unpackArchive(runId, '{')).rejects.toThrow();
  });

  test('A token of a long answer costs less than twenty bytes in the archive', async () => {
    const log = new LiveRunLogs();
    const events = Array.from({ length: 1_000 }, (_, index) => log.append(runId, text('word ', index * 5)));
    expect((await packEvents(events)).length / 1_000).toBeLessThan(20);
  });

  test('A long run is archived and read in lines, between which the event loop turns', async () => {
    const log = new LiveRunLogs();
    const long = Array.from({ length: 20_000 }, (_, index) =>
      log.append(
        runId,
        index % 2 === 0
          ? text('a', index / 2)
          : { type: 'ReasoningDelta', messageId: 'm1', offset: (index - 1) / 2, delta: 'b' },
      ),
    );
    const large = Array.from({ length: 20 }, (_, index) =>
      log.append(runId, text('x'.repeat(200_000), 10_000 + index)),
    );
    for (const events of [long, large]) {
      let turns = 0;
      const count = () => {
        turns += 1;
        counted = setImmediate(count);
      };
      let counted = setImmediate(count);
      const packed = await packEvents(events);
      const turnsToPack = turns;
      expect(await unpackArchive(runId, packed)).toEqual(events);
      clearImmediate(counted);
      const lines = packed.split('\n').length;
      expect(lines).toBeGreaterThan(9);
      expect(turnsToPack).toBeGreaterThanOrEqual(lines - 1);
      expect(turns - turnsToPack).toBeGreaterThanOrEqual(lines - 1);
    }
  });

  test('An archive from before there were lines is one line', async () => {
    const events = sampleRun();
    const lines = (await packEvents([...events])).split('\n');
    expect(lines).toHaveLength(1);
    expect(await unpackArchive(runId, lines[0] ?? '')).toEqual(events);
  });

  test('A long archive from before there were lines is read in pieces, between which the event loop turns', async () => {
    const messageId = crypto.randomUUID();
    const odd = ['"}],{[', '\\\\"', '\\', ',', '\n', 'é😀'];
    const many: RunEvent[] = Array.from({ length: 20_000 }, (_none, index) => {
      const common = { seq: index + 1, runId, at: 1_000 + index };
      if (index % 2 === 0) {
        const delta = odd[(index / 2) % odd.length] ?? '';
        return { type: 'ReasoningDelta', messageId, offset: index, delta, ...common };
      }
      return { type: 'MessageCompleted', messageId, ...common };
    });
    const deltas: RunEvent[] = Array.from({ length: 30_000 }, (_none, index) => {
      return { type: 'ReasoningDelta', messageId, offset: 2 * index, delta: 'ab', seq: index + 1, runId, at: 1_000 };
    });
    for (const [events, minTurns] of [
      [many, 6],
      [deltas, 6],
    ] as const) {
      const line = `[${(await packEvents(events)).replaceAll(/^\[|\]$/gm, '').replaceAll('\n', ',')}]`;
      expect(JSON.parse(line)).toBeInstanceOf(Array);
      let turns = 0;
      const count = () => {
        turns += 1;
        counted = setImmediate(count);
      };
      let counted = setImmediate(count);
      expect(await unpackArchive(runId, line)).toEqual(events);
      clearImmediate(counted);
      expect(turns).toBeGreaterThanOrEqual(minTurns);
      for (const broken of [
        line.slice(0, -1),
        line.slice(0, -2),
        `${line}]`,
        `${line}x`,
        line.slice(0, -30),
        `[${line}`,
      ]) {
        await expect(unpackArchive(runId, broken)).rejects.toThrow();
      }
    }
  });
});

describe('a cursor', () => {
  test('A cursor that is attached after any seq gives exactly the rest', async () => {
    const events = sampleRun();
    for (const { seq } of events) {
      const seen = events.filter((event) => event.seq <= seq);
      const rest = await drain(new RunCursor(tailOf(events), seq));
      expect(rest[0]?.seq ?? Number.POSITIVE_INFINITY).toBeGreaterThan(seq);
      expect(applyText([...seen, ...rest])).toEqual({ m1: 'Again', m2: 'Bye' });
      expect(rest.at(-1)?.type ?? 'RunCompleted').toBe('RunCompleted');
    }
  });

  test('Events that are applied from the start over anything seen before still give the text', async () => {
    const events = sampleRun();
    const all = await drain(new RunCursor(tailOf(events), 0));
    for (let seen = 0; seen <= events.length; seen++) {
      expect(applyText([...events.slice(0, seen), ...all])).toEqual({ m1: 'Again', m2: 'Bye' });
    }
  });

  test('A cursor merges what has queued up, and never across messages, retractions or other events', async () => {
    const rest = await drain(new RunCursor(tailOf(sampleRun()), 0));
    expect(rest.map((event) => [event.seq, event.type])).toEqual([
      [1, 'RunStarted'],
      [3, 'ReasoningDelta'],
      [4, 'MessageStarted'],
      [7, 'TextDelta'],
      [8, 'TextRetracted'],
      [9, 'TextDelta'],
      [10, 'MessageCompleted'],
      [11, 'ApprovalRequested'],
      [12, 'ToolCallStarted'],
      [13, 'ToolCallCompleted'],
      [14, 'HandoffOccurred'],
      [15, 'MessageStarted'],
      [17, 'TextDelta'],
      [18, 'MessageCompleted'],
      [19, 'RunCompleted'],
    ]);
  });

  test('A reader that keeps up gets every token by itself; one that does not gets them in one event', async () => {
    const log = new LiveRunLogs();
    const tail = log.open(runId);
    const fast = new RunCursor(tail, 0);
    const slow = new RunCursor(tail, 0);
    const first = fast.next();
    log.append(runId, text('a', 0));
    expect((await first).value).toMatchObject({ delta: 'a', seq: 1 });
    const second = fast.next();
    log.append(runId, text('b', 1));
    expect((await second).value).toMatchObject({ delta: 'b', offset: 1, seq: 2 });
    expect((await slow.next()).value).toMatchObject({ delta: 'ab', offset: 0, seq: 2 });
  });

  test('return ends a read of a cursor that waits, and reports it once', async () => {
    const closed: string[] = [];
    const tail = new RunEventBuffer(runId);
    const cursor = new RunCursor(tail, 0, { onClose: (end) => closed.push(end) });
    const waiting = cursor.next();
    expect(tail.readers).toBe(1);
    await cursor.return();
    await cursor.return();
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(tail.readers).toBe(0);
    expect(closed).toEqual(['left']);
  });

  test('A cursor leaves nothing behind in a buffer that goes on', async () => {
    const log = new LiveRunLogs();
    const tail = log.open(runId);
    for (let n = 0; n < 1_000; n++) {
      const cursor = new RunCursor(tail, 0);
      void cursor.next();
      await cursor.return();
    }
    expect(tail.readers).toBe(0);
    log.append(runId, text('a', 0));
    expect((await new RunCursor(tail, 0).next()).value).toMatchObject({ delta: 'a' });
  });
});

describe('a tail', () => {
  test('An event buffer accepts no event out of order and none after the last', () => {
    const events = sampleRun();
    const tail = tailOf(events);
    const last = events.at(-1);
    if (!last) throw new Error('the sample is empty');
    expect(() => tail.append({ ...last, seq: last.seq + 1 })).toThrow();
    const open = tailOf(events.slice(0, 3));
    expect(() => open.append({ ...last, seq: 3 })).toThrow();
  });
});
