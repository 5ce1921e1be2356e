import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { checkMessage } from '../../src/guardrails/message-texts.ts';
import type { PlannedGuardrail } from '../../src/guardrails/planned.ts';
import { nothingChecked, openTurnGuard } from '../../src/guardrails/turn-guard.ts';
import { sizeOfEvent } from '../../src/log/event.ts';

const never = new AbortController().signal;
const call = (index: number) => ({ id: `call_${index}`, name: 'echo', arguments: '{}' });

/** A guardrail that asks a provider, and how many questions to it were open at most. */
function openGuard(stage: 'TOOL_INPUT' | 'TOOL_OUTPUT') {
  const count = { open: 0, most: 0, asked: 0 };
  const check = { type: 'MODERATION', model: 'm', categories: [], threshold: null } as const;
  const config = { name: 'g', stages: [stage], check, action: 'ALLOW', mode: 'BLOCKING', window: null } as const;
  const guarded: PlannedGuardrail = {
    config: { ...config, onError: 'CLOSED' },
    matcher: null,
    ask: async () => {
      count.asked++;
      count.most = Math.max(count.most, ++count.open);
      await sleep(1);
      count.open--;
      return { flagged: false, categories: [], reasoning: null, call: null };
    },
  };
  const guard = openTurnGuard(new Map([['a', [guarded]]]), { earlier: nothingChecked, timeoutMs: 1_000 });
  return { guard, count };
}

test('The calls of a step, and their results, are checked a few at a time', async () => {
  const input = openGuard('TOOL_INPUT');
  const calls = Array.from({ length: 128 }, (_, index) => call(index));
  await input.guard?.checkCalls('a', calls, never);
  expect(input.count).toMatchObject({ asked: 128, most: 4 });

  const output = openGuard('TOOL_OUTPUT');
  await Promise.all(calls.map(() => output.guard?.checkOutcome('a', { ok: true, result: 1 }, never)));
  expect(output.count).toMatchObject({ asked: 128, most: 4 });
});

test('What guardrails have found counts in the size of a run', () => {
  const categories = [{ name: 'x'.repeat(1_000), flagged: true, score: 1 }];
  const decision = { flagged: true, action: 'ALLOW', categories, reasoning: null } as const;
  const result = { id: 'r', guardrail: 'g', stage: 'INPUT', agentId: 'a', tripwireTriggered: true } as const;
  const event = { type: 'GuardrailTripped', result: { ...result, decision, at: new Date() } } as const;
  expect(sizeOfEvent(event)).toBeGreaterThan(1_000);
});

test('Providers are asked about the end of a long text: of a message with long files, that is the message itself', async () => {
  const asked: string[] = [];
  const check = { type: 'MODERATION', model: 'm', categories: [], threshold: null } as const;
  const config = { name: 'g', stages: ['INPUT'], check, action: 'BLOCK', mode: 'BLOCKING', window: null } as const;
  const guarded: PlannedGuardrail = {
    config: { ...config, onError: 'CLOSED' },
    matcher: null,
    ask: async (text) => {
      asked.push(text);
      return { flagged: false, categories: [], reasoning: null, call: null };
    },
  };
  const long = 'x'.repeat(20_001);
  const guard = openTurnGuard(new Map([['a', [guarded]]]), { earlier: nothingChecked, timeoutMs: 1_000 });
  const file = { place: 0, id: null, name: 'long.txt', url: null, text: long };
  await guard?.checkInput('a', 'What the user asks', async () => [file], never);

  const options = { stage: 'INPUT', agentId: 'a', timeoutMs: 1_000, signal: never } as const;
  const attachments = [{ name: 'long.txt', url: 'https://files.example/', text: long }];
  await checkMessage([guarded], { content: 'What the user asks', attachments }, options);
  expect(asked).toHaveLength(2);
  for (const text of asked) {
    expect(text).toHaveLength(20_000);
    expect(text).toContain('What the user asks');
  }
});
