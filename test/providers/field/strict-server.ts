import { createServer } from 'node:http';
import { z } from 'zod';

const message = z.looseObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string().nullish(),
  tool_call_id: z.string().optional(),
  tool_calls: z.array(z.looseObject({ id: z.string() })).optional(),
});
const body = z.looseObject({ messages: z.array(message), tools: z.array(z.unknown()).optional() });
type Message = z.output<typeof message>;

/**
 * What a strict server refuses in a request, in the words of the servers that do: chat templates of vLLM and llama.cpp,
 * Mistral, Gemini and endpoints in front of Anthropic. Null: nothing.
 */
export function findRefusal(json: unknown): string | null {
  const { messages, tools } = body.parse(json);
  const rest = messages[0]?.role === 'system' ? messages.slice(1) : messages;
  if (rest.some(({ role }) => role === 'system')) return 'System message must be at the beginning.';
  if (rest[0]?.role !== 'user') return 'Conversation roles must begin with user.';
  for (const [index, entry] of messages.entries()) {
    const hasCalls = (entry.tool_calls?.length ?? 0) > 0;
    if (entry.role !== 'tool' && !hasCalls && (entry.content ?? '').trim() === '') {
      return 'messages: text content blocks must contain non-whitespace text';
    }
    const before = messages[index - 1];
    if (entry.role === 'user' && before?.role === 'user') return 'Conversation roles must alternate user/assistant.';
    if (entry.role === 'user' && before?.role === 'tool') return 'Unexpected role user after role tool.';
    if (entry.role === 'assistant' && before?.role === 'assistant') return 'Conversation roles must alternate.';
    if (hasCalls && tools === undefined) return 'Requests which have tool calls must define tools.';
    const ids = entry.tool_calls?.map(({ id }) => id) ?? [];
    if ([...ids, entry.tool_call_id ?? 'abcdefgh9'].some((id) => !/^[A-Za-z0-9]{9}$/.test(id))) {
      return 'Tool call id was not a-z, A-Z, 0-9, with a length of 9.';
    }
  }
  if (findOpenCall(messages)) return 'Not the same number of function calls and responses.';
  return ['user', 'tool'].includes(messages.at(-1)?.role ?? '') ? null : 'Expected last role user or tool.';
}

function findOpenCall(messages: readonly Message[]): boolean {
  let open = new Set<string>();
  for (const entry of messages) {
    if (entry.role === 'tool') {
      if (!open.delete(entry.tool_call_id ?? '')) return true;
      continue;
    }
    if (open.size > 0) return true;
    open = new Set(entry.tool_calls?.map(({ id }) => id));
  }
  return open.size > 0;
}

/** Starts a server that refuses what strict servers refuse, and otherwise says "Hi.". */
export async function startStrictServer() {
  const requests: unknown[] = [];
  const refusals: string[] = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    const json: unknown = JSON.parse(text);
    requests.push(json);
    const refusal = findRefusal(json);
    if (refusal !== null) {
      refusals.push(refusal);
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ object: 'error', message: refusal, code: 400 }));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const chunk = { choices: [{ index: 0, delta: { content: 'Hi.' }, finish_reason: 'stop' }] };
    response.end(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/v1`,
    requests,
    refusals,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
