import type { TurnEvent } from '../../engine/events.ts';
import { firstTokenSeconds, tokenRate, tokens } from '../metrics.ts';
import { modelLabel } from '../model-label.ts';

/** Shorter answers say nothing of the rate: most of their time is not spent on tokens. */
const minRatedTokens = 5;

/** Counts the tokens of a model call of a turn, and how fast they came. */
export function noteModelCall(call: Extract<TurnEvent, { type: 'modelCalled' }>['call']): void {
  const { usage, durationMs, timeToFirstTokenMs } = call;
  const model = modelLabel(call.model);
  if (timeToFirstTokenMs !== null) firstTokenSeconds.observe({ model }, timeToFirstTokenMs / 1_000);
  if (usage === null) return;
  tokens.inc({ model, type: 'input' }, usage.inputTokens);
  tokens.inc({ model, type: 'output' }, usage.outputTokens);
  tokens.inc({ model, type: 'cached_input' }, usage.cachedInputTokens);
  tokens.inc({ model, type: 'cache_write_input' }, usage.cacheWriteInputTokens);
  tokens.inc({ model, type: 'reasoning' }, usage.reasoningTokens);
  const writtenMs = durationMs - (timeToFirstTokenMs ?? durationMs);
  if (usage.outputTokens >= minRatedTokens && writtenMs > 0) {
    tokenRate.observe({ model }, usage.outputTokens / (writtenMs / 1_000));
  }
}
