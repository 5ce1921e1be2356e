import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { z } from 'zod';
import { type Ask, countCalls, readAsk, readPlan, tokenAt } from './answer.ts';
import { listenOnLoopback } from './listen.ts';
import { endWithParent } from './rpc.ts';

// The fake model endpoint: Chat Completions, streamed, in a process of its own. Leaner than the demo model, so that
// it keeps its pace with 500 streams at once on half a core.

const chatRequest = z.object({
  messages: z.array(z.object({ role: z.string(), content: z.string().nullish() })),
  /** Structured output is asked for to choose an agent: the first of the enum is chosen. */
  response_format: z
    .object({
      json_schema: z.object({
        schema: z.object({ properties: z.object({ agent: z.object({ enum: z.array(z.string()) }) }) }),
      }),
    })
    .optional(),
});

const tickMs = 2;
/** Tokens that are written together when nothing paces them. */
const slice = 64;
const goldenRatio = 0.618_033_988_75;

const head = '"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1767225600,"model":"bench"';
const chunk = (delta: string, finish: string) =>
  `data: {${head},"choices":[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}}]}\n\n`;
const first = chunk('{"role":"assistant","content":"","refusal":null}', 'null');

const frames: string[] = [];
function frameAt(place: number): string {
  frames[place] ??= chunk(JSON.stringify({ content: tokenAt(place) }), 'null');
  return frames[place] ?? '';
}

function tailOf(tokens: number, finish = 'stop'): string {
  const usage = JSON.stringify({ prompt_tokens: 10, completion_tokens: tokens, total_tokens: tokens + 10 });
  return `${chunk('{}', JSON.stringify(finish))}data: {${head},"choices":[],"usage":${usage}}\n\ndata: [DONE]\n\n`;
}

interface PacedStream {
  readonly response: ServerResponse;
  readonly tokens: number;
  readonly periodMs: number;
  dueAt: number;
  place: number;
}

const paced = new Set<PacedStream>();
let count = 0;

/** The first token immediately; the others in the rhythm, each stream with a phase of its own. */
function pace(response: ServerResponse, { tokens, perSecond }: Ask): void {
  const periodMs = 1000 / perSecond;
  const phase = (count++ * goldenRatio) % 1;
  const stream = { response, tokens, periodMs, dueAt: performance.now() + (1 + phase) * periodMs, place: 1 };
  response.write(first + frameAt(0));
  response.on('close', () => paced.delete(stream));
  paced.add(stream);
}

setInterval(() => {
  const now = performance.now();
  for (const stream of paced) {
    let due = '';
    for (; stream.dueAt <= now && stream.place < stream.tokens; stream.dueAt += stream.periodMs) {
      due += frameAt(stream.place++);
    }
    if (stream.place < stream.tokens) {
      if (due !== '') stream.response.write(due);
      continue;
    }
    paced.delete(stream);
    stream.response.end(due + tailOf(stream.tokens));
  }
}, tickMs);

async function pour(response: ServerResponse, tokens: number): Promise<void> {
  const closed = once(response, 'close');
  response.write(first);
  for (let place = 0; place < tokens && !response.destroyed; ) {
    let text = '';
    for (const end = Math.min(place + slice, tokens); place < end; place++) text += frameAt(place);
    if (!response.write(text)) await Promise.race([once(response, 'drain'), closed]);
  }
  response.end(tailOf(tokens));
}

function choose(response: ServerResponse, agent: string): void {
  const text = JSON.stringify({ agent, confidence: 0.9, reasoning: 'It is the first one.', alternatives: [] });
  response.end(first + chunk(JSON.stringify({ content: text }), 'null') + tailOf(10));
}

/** Calls of a tool that takes next to no time. */
function call(response: ServerResponse, calls: number): void {
  let text = first;
  for (let index = 0; index < calls; index++) {
    const named = {
      index,
      id: `call_${count++}`,
      type: 'function',
      function: { name: 'current_time', arguments: '{}' },
    };
    text += chunk(JSON.stringify({ tool_calls: [named] }), 'null');
  }
  response.end(text + tailOf(calls, 'tool_calls'));
}

/** The answer of the Moderations API, and how long it takes. */
const moderationMs = 100;
const passed = JSON.stringify({
  id: 'modr-bench',
  model: 'omni-moderation-latest',
  results: [{ flagged: false, categories: { violence: false }, category_scores: { violence: 0.01 } }],
});

const server = createServer(async (request, response) => {
  try {
    if (request.url?.endsWith('/moderations')) {
      setTimeout(() => response.writeHead(200, { 'content-type': 'application/json' }).end(passed), moderationMs);
      return;
    }
    const { messages, response_format: format } = chatRequest.parse(await json(request));
    if (format) {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      choose(response, format.json_schema.schema.properties.agent.enum[0] ?? '');
      return;
    }
    const last = messages.findLastIndex((message) => message.role === 'user');
    const said = messages[last]?.content ?? '';
    const plan = readPlan(said);
    const taken = messages.slice(last).filter((message) => message.role === 'assistant').length;
    const asked = plan ? { tokens: 1, perSecond: 0 } : readAsk(said);
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    if (plan && taken < plan.steps - 1) call(response, countCalls(plan, taken));
    else if (asked.perSecond > 0) pace(response, asked);
    else await pour(response, asked.tokens);
  } catch (error) {
    response.writeHead(400, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: { message: String(error), type: 'invalid_request_error' } }));
  }
});
server.keepAliveTimeout = 120_000;
endWithParent();
listenOnLoopback(server);
