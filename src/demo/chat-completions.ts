import type { AnswerFrames } from './frames.ts';
import {
  argumentsOf,
  type ReceivedRequest,
  type ScriptedStep,
  type ScriptedUsage,
  splitArguments,
  splitTokens,
  textTokensOf,
  usageOf,
} from './steps.ts';

/** Writes a step as the frames of a Chat Completions stream. */
export function frameChatCompletion(step: ScriptedStep, request: ReceivedRequest, id: string): AnswerFrames {
  const head = `"id":"chatcmpl-${id}","object":"chat.completion.chunk","created":${now()},"model":${JSON.stringify(request.model)}`;
  const chunk = (delta: string, finish = 'null') =>
    `data: {${head},"choices":[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}}]}\n\n`;
  const tokens: string[] = [];
  for (const part of step.reasoning ?? []) tokens.push(chunk(`{"reasoning_content":${JSON.stringify(part)}}`));
  for (const token of textTokensOf(step)) tokens.push(chunk(`{"content":${JSON.stringify(token)}}`));
  for (const token of splitTokens(step.refusal ?? '')) tokens.push(chunk(`{"refusal":${JSON.stringify(token)}}`));
  tokens.push(...frameCalls(step, id).map((call) => chunk(JSON.stringify({ tool_calls: [call] }))));
  const usage = usageOf(step, request);
  const last =
    usage !== null && request.wantsUsage
      ? `data: {${head},"choices":[],"usage":${JSON.stringify(wire(usage))}}\n\n`
      : '';
  return {
    head: chunk('{"role":"assistant","content":"","refusal":null}'),
    tokens,
    tail: `${chunk('{}', JSON.stringify(finishOf(step)))}${last}data: [DONE]\n\n`,
  };
}

/** Writes a step as the body of an answer that is not streamed. */
export function writeChatCompletion(step: ScriptedStep, request: ReceivedRequest, id: string): object {
  const usage = usageOf(step, request);
  const calls = (step.calls ?? []).map((call, index) => ({
    id: call.id ?? `call_${id}_${index}`,
    type: 'function',
    function: { name: call.name, arguments: argumentsOf(call) },
  }));
  const text = textTokensOf(step).join('');
  return {
    id: `chatcmpl-${id}`,
    object: 'chat.completion',
    created: now(),
    model: request.model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text === '' ? null : text,
          refusal: step.refusal ?? null,
          ...(calls.length > 0 ? { tool_calls: calls } : {}),
        },
        logprobs: null,
        finish_reason: finishOf(step),
      },
    ],
    ...(usage === null ? {} : { usage: wire(usage) }),
  };
}

/** The first fragment of each call names it; the fragments of several calls then take turns. */
function frameCalls(step: ScriptedStep, id: string): object[] {
  const calls = step.calls ?? [];
  const frames: object[] = calls.map((call, index) => ({
    index,
    ...(call.id === '' ? {} : { id: call.id ?? `call_${id}_${index}` }),
    type: 'function',
    function: { name: call.name, arguments: '' },
  }));
  const fragments = calls.map((call) => splitArguments(argumentsOf(call)));
  const longest = Math.max(0, ...fragments.map((list) => list.length));
  for (let round = 0; round < longest; round++) {
    fragments.forEach((list, index) => {
      const fragment = list[round];
      if (fragment !== undefined) frames.push({ index, function: { arguments: fragment } });
    });
  }
  return frames;
}

function finishOf(step: ScriptedStep): string {
  return step.finish ?? ((step.calls ?? []).length > 0 ? 'tool_calls' : 'stop');
}

function wire(usage: Required<ScriptedUsage>): object {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedInputTokens, cache_write_tokens: usage.cacheWriteInputTokens },
    completion_tokens_details: { reasoning_tokens: usage.reasoningTokens },
  };
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
