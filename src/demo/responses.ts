import type { AnswerFrames } from './frames.ts';
import { frameEvent } from './frames.ts';
import {
  argumentsOf,
  type ReceivedRequest,
  type ScriptedCall,
  type ScriptedStep,
  splitArguments,
  splitTokens,
  textTokensOf,
  usageOf,
} from './steps.ts';

type Item = Record<string, unknown>;
type Emit = (type: string, fields: Item) => void;

/** Writes a step as the frames of a Responses stream. */
export function frameResponse(step: ScriptedStep, request: ReceivedRequest, id: string): AnswerFrames {
  let sequence = 0;
  const event = (type: string, fields: Item) => frameEvent(type, { type, sequence_number: sequence++, ...fields });
  const opened = writeEnvelope(request, id, 'in_progress');
  const head = event('response.created', { response: opened }) + event('response.in_progress', { response: opened });

  // What opens and closes an item goes with the token next to it, so that a token stays one frame.
  const tokens: string[] = [];
  let waiting = '';
  const aside: Emit = (type, fields) => {
    waiting += event(type, fields);
  };
  const token: Emit = (type, fields) => {
    tokens.push(waiting + event(type, fields));
    waiting = '';
  };
  const output = writeItems(step, id);
  output.forEach((item, index) => {
    if (item.type === 'reasoning') frameReasoning(step, item, index, aside, token);
    if (item.type === 'message') frameMessage(step, item, index, aside, token);
  });
  frameCalls(step, output, aside, token);

  const type = terminalOf(step);
  const terminal = event(type, { response: writeResponse(step, request, id) });
  return { head, tokens, tail: waiting + terminal };
}

/** Writes a step as the response object: the body of an answer that is not streamed, and the end of one that is. */
export function writeResponse(step: ScriptedStep, request: ReceivedRequest, id: string): Item {
  const usage = usageOf(step, request);
  const incomplete = terminalOf(step) === 'response.incomplete';
  const reason = step.finish === 'length' ? 'max_output_tokens' : 'content_filter';
  return {
    ...writeEnvelope(request, id, incomplete ? 'incomplete' : 'completed'),
    incomplete_details: incomplete ? { reason } : null,
    output: writeItems(step, id),
    usage:
      usage === null
        ? null
        : {
            input_tokens: usage.inputTokens,
            input_tokens_details: {
              cached_tokens: usage.cachedInputTokens,
              cache_write_tokens: usage.cacheWriteInputTokens,
            },
            output_tokens: usage.outputTokens,
            output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
            total_tokens: usage.inputTokens + usage.outputTokens,
          },
  };
}

function terminalOf(step: ScriptedStep): string {
  return step.finish === undefined || step.finish === 'stop' ? 'response.completed' : 'response.incomplete';
}

function writeEnvelope(request: ReceivedRequest, id: string, status: string): Item {
  return {
    id: `resp_${id}`,
    object: 'response',
    created_at: Math.floor(Date.now() / 1000),
    status,
    error: null,
    incomplete_details: null,
    model: request.model,
    output: [],
    parallel_tool_calls: true,
    tools: [],
    usage: null,
  };
}

/** The output items of the finished answer: reasoning, the message, the calls. */
function writeItems(step: ScriptedStep, id: string): Item[] {
  const items: Item[] = [];
  const reasoning = (step.reasoning ?? []).join('');
  if (reasoning !== '') {
    items.push({ type: 'reasoning', id: `rs_${id}`, summary: [{ type: 'summary_text', text: reasoning }] });
  }
  const text = textTokensOf(step).join('');
  if (text !== '' || step.refusal !== undefined) {
    const content: Item[] = [];
    if (text !== '') content.push({ type: 'output_text', text, annotations: [] });
    if (step.refusal !== undefined) content.push({ type: 'refusal', refusal: step.refusal });
    items.push({ type: 'message', id: `msg_${id}`, role: 'assistant', status: 'completed', content });
  }
  return [...items, ...(step.calls ?? []).map((call, index) => writeCall(call, id, index))];
}

function writeCall(call: ScriptedCall, id: string, index: number): Item {
  return {
    type: 'function_call',
    id: `fc_${id}_${index}`,
    status: 'completed',
    ...(call.id === '' ? {} : { call_id: call.id ?? `call_${id}_${index}` }),
    name: call.name,
    arguments: argumentsOf(call),
  };
}

function frameReasoning(step: ScriptedStep, item: Item, outputIndex: number, aside: Emit, token: Emit): void {
  const at = { item_id: item.id, output_index: outputIndex, summary_index: 0 };
  const text = (step.reasoning ?? []).join('');
  aside('response.output_item.added', { output_index: outputIndex, item: { ...item, summary: [] } });
  aside('response.reasoning_summary_part.added', { ...at, part: { type: 'summary_text', text: '' } });
  for (const delta of step.reasoning ?? []) token('response.reasoning_summary_text.delta', { ...at, delta });
  aside('response.reasoning_summary_text.done', { ...at, text });
  aside('response.reasoning_summary_part.done', { ...at, part: { type: 'summary_text', text } });
  aside('response.output_item.done', { output_index: outputIndex, item });
}

function frameMessage(step: ScriptedStep, item: Item, outputIndex: number, aside: Emit, token: Emit): void {
  const added = { ...item, status: 'in_progress', content: [] };
  aside('response.output_item.added', { output_index: outputIndex, item: added });
  const text = textTokensOf(step).join('');
  let part = 0;
  if (text !== '') {
    const at = { item_id: item.id, output_index: outputIndex, content_index: part++ };
    const written = { type: 'output_text', text, annotations: [] };
    aside('response.content_part.added', { ...at, part: { ...written, text: '' } });
    for (const delta of textTokensOf(step)) token('response.output_text.delta', { ...at, delta, logprobs: [] });
    aside('response.output_text.done', { ...at, text, logprobs: [] });
    aside('response.content_part.done', { ...at, part: written });
  }
  if (step.refusal !== undefined) {
    const at = { item_id: item.id, output_index: outputIndex, content_index: part };
    aside('response.content_part.added', { ...at, part: { type: 'refusal', refusal: '' } });
    for (const delta of splitTokens(step.refusal)) token('response.refusal.delta', { ...at, delta });
    aside('response.refusal.done', { ...at, refusal: step.refusal });
    aside('response.content_part.done', { ...at, part: { type: 'refusal', refusal: step.refusal } });
  }
  aside('response.output_item.done', { output_index: outputIndex, item });
}

/** The items of several calls are open at once and their fragments take turns. */
function frameCalls(step: ScriptedStep, output: readonly Item[], aside: Emit, token: Emit): void {
  const calls = (step.calls ?? []).map((call, index) => {
    const outputIndex = output.length - (step.calls ?? []).length + index;
    const item = output[outputIndex] ?? {};
    return { item, text: argumentsOf(call), outputIndex, at: { item_id: item.id, output_index: outputIndex } };
  });
  for (const { item, outputIndex } of calls) {
    const added = { ...item, status: 'in_progress', arguments: '' };
    token('response.output_item.added', { output_index: outputIndex, item: added });
  }
  const fragments = calls.map((call) => splitArguments(call.text));
  const longest = Math.max(0, ...fragments.map((list) => list.length));
  for (let round = 0; round < longest; round++) {
    fragments.forEach((list, index) => {
      const delta = list[round];
      if (delta !== undefined) token('response.function_call_arguments.delta', { ...calls[index]?.at, delta });
    });
  }
  for (const { item, text, outputIndex, at } of calls) {
    aside('response.function_call_arguments.done', { ...at, name: item.name, arguments: text });
    aside('response.output_item.done', { output_index: outputIndex, item });
  }
}
