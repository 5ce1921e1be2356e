import { z } from 'zod';

/** A message as strict servers see it, whichever API it came over. */
interface StrictMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  /** Null: it has no text part. */
  readonly content: string | null;
  readonly callId: string | null;
  readonly calls: readonly StrictCall[];
}
interface StrictCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}
interface StrictRequest {
  readonly model: string;
  readonly messages: readonly StrictMessage[];
  readonly hasTools: boolean;
}

const content = z
  .union([z.string(), z.array(z.looseObject({ text: z.string().optional() })), z.null()])
  .optional()
  .transform((value) => (Array.isArray(value) ? value.map(({ text = '' }) => text).join('') : (value ?? null)));
const called = z.looseObject({ name: z.string(), arguments: z.string() });
const chatMessage = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content,
  tool_call_id: z.string().optional(),
  tool_calls: z.array(z.looseObject({ id: z.string(), function: called })).optional(),
});
const chatBody = z.looseObject({
  model: z.string(),
  messages: z.array(chatMessage),
  tools: z.array(z.unknown()).optional(),
});
const responsesItem = z.union([
  z.looseObject({ type: z.literal('function_call'), call_id: z.string(), name: z.string(), arguments: z.string() }),
  z.looseObject({ type: z.literal('function_call_output'), call_id: z.string(), output: z.string() }),
  z.looseObject({ type: z.literal('reasoning'), encrypted_content: z.string() }),
  z.looseObject({ role: z.enum(['system', 'developer', 'user', 'assistant']), content }),
]);
const responsesBody = z.looseObject({
  model: z.string(),
  instructions: z.string().nullish(),
  input: z.union([
    z.array(responsesItem),
    z.string().transform((text) => [{ role: 'user' as const, content: text as string | null }]),
  ]),
  tools: z.array(z.unknown()).optional(),
});

/**
 * What a strict server refuses in a request of either API, in the words of the servers that do: chat templates of vLLM and
 * llama.cpp, Mistral, Gemini and endpoints in front of Anthropic. Servers of the Responses API make messages for the same
 * templates of what they are sent.
 * @returns null: nothing
 */
export function findRefusal(api: 'CHAT_COMPLETIONS' | 'RESPONSES', json: unknown): string | null {
  if (api === 'CHAT_COMPLETIONS') return refuse(readChat(json));
  const { input } = responsesBody.parse(json);
  const afterReasoning = input.flatMap((item, index) =>
    'type' in item && item.type === 'reasoning' ? [input[index + 1]] : [],
  );
  const isFollowed = afterReasoning.every(
    (item) =>
      item !== undefined &&
      ('type' in item ? item.type !== 'function_call_output' : 'role' in item && item.role === 'assistant'),
  );
  return isFollowed
    ? refuse(readResponses(json))
    : 'Item of type reasoning was provided without its required following item.';
}

function readChat(json: unknown): StrictRequest {
  const { model, messages, tools } = chatBody.parse(json);
  return {
    model,
    hasTools: (tools?.length ?? 0) > 0,
    messages: messages.map((entry) => ({
      role: entry.role === 'developer' ? 'system' : entry.role,
      content: entry.content,
      callId: entry.tool_call_id ?? null,
      calls: entry.tool_calls?.map((call) => ({ id: call.id, ...call.function })) ?? [],
    })),
  };
}

function readResponses(json: unknown): StrictRequest {
  const { model, instructions, input, tools } = responsesBody.parse(json);
  const messages: StrictMessage[] = [];
  const none = { callId: null, calls: [] };
  if (instructions) messages.push({ role: 'system', content: instructions, ...none });
  for (const item of input) {
    const last = messages.at(-1);
    if ('output' in item && item.type === 'function_call_output') {
      messages.push({ role: 'tool', content: String(item.output), callId: String(item.call_id), calls: [] });
    } else if ('arguments' in item && item.type === 'function_call') {
      const call = { id: String(item.call_id), name: String(item.name), arguments: String(item.arguments) };
      // The text of a step and its calls are items of their own here.
      if (last?.role === 'assistant') messages[messages.length - 1] = { ...last, calls: [...last.calls, call] };
      else messages.push({ role: 'assistant', content: null, callId: null, calls: [call] });
    } else if ('role' in item) {
      const { role } = item;
      const text = typeof item.content === 'string' ? item.content : null;
      if (role === 'user' || role === 'assistant') messages.push({ role, content: text, ...none });
      else messages.push({ role: 'system', content: text, ...none });
    }
  }
  return { model, messages, hasTools: (tools?.length ?? 0) > 0 };
}

function refuse({ model, messages, hasTools }: StrictRequest): string | null {
  const rest = messages[0]?.role === 'system' ? messages.slice(1) : messages;
  if (rest.some(({ role }) => role === 'system')) return 'System message must be at the beginning.';
  if (rest[0]?.role !== 'user') return 'Conversation roles must begin with user.';
  for (const [index, entry] of rest.entries()) {
    const refusal = refuseText(entry) ?? refuseOrder(entry, rest[index - 1]) ?? refuseCalls(entry, model);
    if (refusal !== null) return refusal;
    if (entry.calls.length > 0 && !hasTools) return 'Requests which have tool calls must define tools.';
  }
  const refusal = refusePairs(rest);
  if (refusal !== null) return refusal;
  return ['user', 'tool'].includes(rest.at(-1)?.role ?? '') ? null : 'Expected last role user or tool.';
}

function refuseText({ role, content: text, calls }: StrictMessage): string | null {
  if (role === 'tool') return text === null ? 'Tool messages must have content.' : null;
  if (text === null) return calls.length > 0 ? null : 'Assistant message must have content or tool calls.';
  return text.trim() === '' ? 'messages: text content blocks must contain non-whitespace text' : null;
}

function refuseOrder({ role }: StrictMessage, before: StrictMessage | undefined): string | null {
  if (before === undefined) return null;
  if (role === 'user' && before.role === 'user') return 'Conversation roles must alternate user/assistant.';
  if (role === 'user' && before.role === 'tool') return 'Unexpected role user after role tool.';
  if (role === 'assistant' && before.role === 'assistant') return 'Conversation roles must alternate.';
  const isResult = before.role === 'tool' || (before.role === 'assistant' && before.calls.length > 0);
  return role === 'tool' && !isResult ? 'Unexpected role tool.' : null;
}

function refuseCalls({ calls, callId }: StrictMessage, model: string): string | null {
  const ids = [...calls.map(({ id }) => id), ...(callId === null ? [] : [callId])];
  if (/mistral|mixtral|codestral|devstral|magistral/i.test(model) && ids.some((id) => !/^[A-Za-z0-9]{9}$/.test(id))) {
    return 'Tool call id was not a-z, A-Z, 0-9, with a length of 9.';
  }
  if (/claude/i.test(model) && ids.some((id) => !/^[A-Za-z0-9_-]{1,64}$/.test(id))) {
    return "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'";
  }
  if (calls.some(({ name }) => !/^[A-Za-z0-9_-]{1,64}$/.test(name))) return 'Invalid function name.';
  return calls.every((call) => isObject(call.arguments)) ? null : 'Function call arguments must be a JSON object.';
}

function isObject(text: string): boolean {
  try {
    return z.record(z.string(), z.unknown()).safeParse(JSON.parse(text)).success;
  } catch {
    return false;
  }
}

/** Each call has one result before anything else is said, and no id is used twice. */
function refusePairs(messages: readonly StrictMessage[]): string | null {
  const seen = new Set<string>();
  let open = new Set<string>();
  for (const entry of messages) {
    if (entry.role === 'tool') {
      if (!open.delete(entry.callId ?? '')) return 'Not the same number of function calls and responses.';
      continue;
    }
    if (open.size > 0) return 'Not the same number of function calls and responses.';
    open = new Set(entry.calls.map(({ id }) => id));
    if (open.size < entry.calls.length || [...open].some((id) => seen.has(id))) return 'Tool call ids must be unique.';
    for (const id of open) seen.add(id);
  }
  return open.size > 0 ? 'Not the same number of function calls and responses.' : null;
}
