import { expect, test } from 'vitest';
import type { ScriptedCall } from '../../src/demo/steps.ts';
import { startTestApp } from '../support/app.ts';
import { unpackArchive } from '../support/archive.ts';
import { documents, openSocketClient } from '../support/chat.ts';
import { assembleTexts } from '../support/clients/turn-reader.ts';
import type { TestStep } from '../support/scripted-model/script.ts';

/** How many calls each step makes; the last one answers. */
const plan = [3, 1, 5, 4, 2, 6, 1, 4, 4, 0];

test('A turn of 10 steps with 30 tool calls keeps its order and its totals', { timeout: 40_000 }, async () => {
  await using app = await startTestApp();
  const socketClient = await openSocketClient(app, 'alice');
  const calls = plan.map((count, step) => Array.from({ length: count }, (_, index) => callAt(step, index)));
  const ids = calls.map((list) => list.map(({ id }) => id ?? ''));
  const usages = plan.map((_count, step) => ({
    inputTokens: 100 + step,
    outputTokens: 10 + step,
    cachedInputTokens: step,
    reasoningTokens: 2 * step,
  }));
  const steps = plan.map((count, step): TestStep => {
    // Every other step says something; what says nothing belongs to the next that does.
    const text = step % 2 === 1 ? { text: [`Step ${step}.`] } : {};
    return { ...text, ...(count > 0 ? { calls: calls[step] ?? [] } : {}), usage: usages[step] ?? null };
  });
  app.model.add(...steps);
  const conversationId = await socketClient.createConversation();
  const events = await socketClient.chatTurn('ws', { conversationId, content: 'Go' }).rest();
  const runId = events[0]?.runId ?? '';
  expect(events.at(-1)?.__typename).toBe('RunCompleted');

  // Each step's calls begin in their order, all of them before one has ended, and all have ended before the next step.
  const started = events.filter(({ __typename }) => __typename === 'ToolCallStarted');
  expect(started.map(({ toolCall }) => toolCall?.callId)).toEqual(ids.flat());
  const kinds = events.flatMap(({ __typename, toolCall }) => (toolCall ? [`${__typename} ${toolCall.callId}`] : []));
  for (const own of ids) {
    const places = (kind: string) => own.map((id) => kinds.indexOf(`${kind} ${id}`));
    const [begins, ends] = [places('ToolCallStarted'), places('ToolCallCompleted')];
    expect(Math.max(...begins, -1)).toBeLessThan(Math.min(...ends, Number.MAX_SAFE_INTEGER));
    const all = [...begins, ...ends].sort((a, b) => a - b);
    expect(all).toEqual(all.map((_place, index) => (all[0] ?? 0) + index));
  }
  const ended = events.filter(({ __typename }) => __typename === 'ToolCallCompleted');
  expect(ended).toHaveLength(30);

  // The model is given each result under its call, in the order of the calls.
  expect(app.model.requests).toHaveLength(10);
  const last = app.model.requests.at(-1)?.messages.slice(1) ?? [];
  expect(last.flatMap((item) => (item.role === 'assistant' ? [item.calls.map(({ id }) => id)] : []))).toEqual(
    ids.slice(0, -1),
  );
  expect(last.flatMap((item) => (item.role === 'tool' ? [item.callId] : []))).toEqual(ids.flat());

  const { run } = await socketClient.ask(documents.run, { id: runId });
  expect(run.toolCalls.map(({ callId }: { callId: string }) => callId)).toEqual(ids.flat());
  expect(run.toolCalls.filter(({ status }: { status: string }) => status === 'FAILED')).toHaveLength(
    ids.flat().filter((id) => id.endsWith('-2')).length,
  );
  expect(run.messages.map(({ content }: { content: string }) => content)).toEqual([...assembleTexts(events).values()]);
  expect(
    run.messages.map(({ toolCalls }: { toolCalls: { callId: string }[] }) => toolCalls.map(({ callId }) => callId)),
  ).toEqual([
    [...(ids[0] ?? []), ...(ids[1] ?? [])],
    [...(ids[2] ?? []), ...(ids[3] ?? [])],
    [...(ids[4] ?? []), ...(ids[5] ?? [])],
    [...(ids[6] ?? []), ...(ids[7] ?? [])],
    ids[8] ?? [],
  ]);
  const sum = (of: (usage: (typeof usages)[number]) => number) => usages.reduce((total, usage) => total + of(usage), 0);
  expect(run.usage).toEqual({
    inputTokens: sum(({ inputTokens }) => inputTokens),
    outputTokens: sum(({ outputTokens }) => outputTokens),
    totalTokens: sum(({ inputTokens, outputTokens }) => inputTokens + outputTokens),
    cachedInputTokens: sum(({ cachedInputTokens }) => cachedInputTokens),
    cacheWriteInputTokens: 0,
    reasoningTokens: sum(({ reasoningTokens }) => reasoningTokens),
    modelCalls: 10,
    complete: true,
  });
  const { events: packed } = await app.app.db.runArchive.findUniqueOrThrow({ where: { runId: runId.slice(4) } });
  const log = await unpackArchive(runId, packed);
  expect(log.map(({ seq }) => seq)).toEqual(log.map((_event, index) => index + 1));
  expect(log.at(-1)?.seq).toBe(run.lastSeq);
});

/** Tools that are slow and quick; every third call of a step has arguments that do not fit. */
function callAt(step: number, index: number): ScriptedCall {
  const id = `call-${step}-${index}`;
  if (index === 2) return { id, name: 'lookup_order', arguments: { orderNumber: 'none' } };
  if (index % 2 === 0) return { id, name: 'lookup_order', arguments: { orderNumber: `${1042 + step}` } };
  return { id, name: 'current_time', arguments: {} };
}
