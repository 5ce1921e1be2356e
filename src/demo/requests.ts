import { z } from 'zod';
import type { HistoryItem } from '../engine/ports.ts';
import type { DemoApi, ReceivedRequest } from './steps.ts';

const content = z
  .union([z.string(), z.array(z.looseObject({ text: z.string().optional() })), z.null()])
  .optional()
  .transform((value) => (Array.isArray(value) ? value.map((part) => part.text ?? '').join('') : (value ?? '')));

const chatMessage = z.union([
  z.looseObject({ role: z.enum(['system', 'developer']), content }),
  z.looseObject({ role: z.literal('user'), content }),
  z.looseObject({
    role: z.literal('assistant'),
    content,
    tool_calls: z
      .array(z.looseObject({ id: z.string(), function: z.looseObject({ name: z.string(), arguments: z.string() }) }))
      .min(1)
      .optional(),
  }),
  z.looseObject({ role: z.literal('tool'), tool_call_id: z.string(), content }),
]);

const settings = {
  model: z.string().min(1),
  stream: z.boolean().default(false),
  temperature: z.number().min(0).max(2).nullish(),
};

const offeredTool = z.looseObject({
  name: z.string(),
  description: z.string().nullish(),
  parameters: z.unknown().optional(),
});

const chatBody = z.looseObject({
  ...settings,
  messages: z.array(chatMessage).min(1),
  tools: z
    .array(z.looseObject({ function: offeredTool }))
    .min(1)
    .optional(),
  stream_options: z.looseObject({ include_usage: z.boolean().optional() }).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
});

const responsesItem = z.union([
  z.looseObject({ type: z.literal('function_call'), call_id: z.string(), name: z.string(), arguments: z.string() }),
  z.looseObject({ type: z.literal('function_call_output'), call_id: z.string(), output: z.string() }),
  // It says nothing to this model.
  z.strictObject({
    type: z.literal('reasoning'),
    id: z.string(),
    summary: z.array(z.unknown()),
    encrypted_content: z.string(),
  }),
  z.looseObject({
    type: z.literal('message').optional(),
    role: z.enum(['system', 'developer', 'user', 'assistant']),
    content,
  }),
]);

const responsesBody = z.looseObject({
  ...settings,
  instructions: z.string().nullish(),
  input: z.union([z.string().transform((text) => [{ role: 'user' as const, content: text }]), z.array(responsesItem)]),
  tools: z.array(offeredTool).min(1).optional(),
  max_output_tokens: z.int().min(1).nullish(),
});

/** What reading a body needs beside it. */
export interface RequestSurroundings {
  readonly headers: ReceivedRequest['headers'];
  readonly signal: AbortSignal;
}

/**
 * Reads the body of a request.
 * @throws {z.ZodError} when it does not have the API's shape
 * @throws {Error} when a tool call lacks its result, or a result its call, as the real APIs do
 */
export function readRequest(api: DemoApi, body: unknown, around: RequestSurroundings): ReceivedRequest {
  const request = api === 'RESPONSES' ? readResponses(body, around) : readChat(body, around);
  checkPairs(request.messages);
  return request;
}

function readChat(raw: unknown, around: RequestSurroundings): ReceivedRequest {
  const body = chatBody.parse(raw);
  const messages = body.messages.map((message): HistoryItem => {
    switch (message.role) {
      case 'assistant': {
        const calls = (message.tool_calls ?? []).map((call) => ({ id: call.id, ...call.function }));
        return {
          role: 'assistant',
          content: message.content,
          calls: calls.map((call) => ({ id: call.id, name: call.name, arguments: call.arguments })),
        };
      }
      case 'tool':
        return { role: 'tool', callId: message.tool_call_id, output: message.content };
      case 'user':
        return { role: 'user', content: message.content };
      case 'system':
      case 'developer':
        return { role: 'system', content: message.content };
      default:
        return message satisfies never;
    }
  });
  const first = messages[0];
  const tools = (body.tools ?? []).map((tool) => tool.function);
  return {
    api: 'CHAT_COMPLETIONS',
    model: body.model,
    instructions: first?.role === 'system' ? first.content : '',
    messages: first?.role === 'system' ? messages.slice(1) : messages,
    ...readTools(tools),
    temperature: body.temperature ?? null,
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? null,
    stream: body.stream,
    wantsUsage: body.stream_options?.include_usage === true,
    ...around,
    body: raw,
  };
}

function readResponses(raw: unknown, around: RequestSurroundings): ReceivedRequest {
  const body = responsesBody.parse(raw);
  const messages: HistoryItem[] = [];
  for (const item of body.input) {
    if ('call_id' in item && item.type === 'function_call') {
      const call = { id: item.call_id, name: item.name, arguments: item.arguments };
      const last = messages.at(-1);
      // A step's text and its calls are items of their own here: put them together again.
      if (last?.role === 'assistant') messages[messages.length - 1] = { ...last, calls: [...last.calls, call] };
      else messages.push({ role: 'assistant', content: '', calls: [call] });
    } else if ('call_id' in item && item.type === 'function_call_output') {
      messages.push({ role: 'tool', callId: item.call_id, output: item.output });
    } else if ('role' in item) {
      if (item.role === 'assistant') messages.push({ role: 'assistant', content: item.content, calls: [] });
      else if (item.role === 'user') messages.push({ role: 'user', content: item.content });
      else messages.push({ role: 'system', content: item.content });
    }
  }
  return {
    api: 'RESPONSES',
    model: body.model,
    instructions: body.instructions ?? '',
    messages,
    ...readTools(body.tools ?? []),
    temperature: body.temperature ?? null,
    maxTokens: body.max_output_tokens ?? null,
    stream: body.stream,
    wantsUsage: true,
    ...around,
    body: raw,
  };
}

function readTools(tools: readonly z.output<typeof offeredTool>[]) {
  return {
    tools: tools.map((tool) => tool.name),
    toolDescriptions: new Map(tools.map((tool): [string, string] => [tool.name, tool.description ?? ''])),
    toolParameters: new Map(tools.map((tool): [string, unknown] => [tool.name, tool.parameters])),
  };
}

/** Each call must be answered before anything else is said, and nothing else may be answered. */
function checkPairs(messages: readonly HistoryItem[]): void {
  let open = new Set<string>();
  for (const message of messages) {
    if (message.role === 'tool') {
      if (!open.delete(message.callId)) throw new Error(`No tool call found for the output of ${message.callId}.`);
      continue;
    }
    if (open.size > 0) throw new Error(`No tool output found for the calls ${[...open].join(', ')}.`);
    if (message.role !== 'assistant') continue;
    for (const call of message.calls) JSON.parse(call.arguments);
    open = new Set(message.calls.map((call) => call.id));
    if (open.size < message.calls.length) throw new Error('Two tool calls of one message have the same id.');
  }
  if (open.size > 0) throw new Error(`No tool output found for the calls ${[...open].join(', ')}.`);
}
