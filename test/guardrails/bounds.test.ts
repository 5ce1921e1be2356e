import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
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
