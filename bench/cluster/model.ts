import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { z } from 'zod';
import { listenOnLoopback } from '../listen.ts';
import { endWithParent } from '../rpc.ts';
import { pieceAt, readSpeech, type Speech } from './speech.ts';

// The model of the cluster, in a process of its own: Chat Completions, streamed. Whoever asks again, after a takeover, is
// told the same from the beginning.

const chatRequest = z.object({
  messages: z.array(z.object({ role: z.string(), content: z.string().nullish() })),
});

const saysNothing = 'Say nothing.';
/** `none` is called by nobody: it says one word. */
const callsTool = /^Call (\w+)\.$/;

const tickMs = 2;
const goldenRatio = 0.618_033_988_75;

const head = '"id":"chatcmpl-cluster","object":"chat.completion.chunk","created":1767225600,"model":"cluster"';
const chunk = (delta: object, finish: string | null) =>
  `data: {${head},"choices":[{"index":0,"delta":${JSON.stringify(delta)},"finish_reason":${JSON.stringify(finish)}}]}\n\n`;
const say = (place: number, { bytes }: Speech) => chunk({ content: pieceAt(place, bytes) }, null);

function endOf({ pieces }: Speech): string {
  const usage = JSON.stringify({ prompt_tokens: 10, completion_tokens: pieces, total_tokens: pieces + 10 });
  return `${chunk({}, 'stop')}data: {${head},"choices":[],"usage":${usage}}\n\ndata: [DONE]\n\n`;
}

interface Stream {
  readonly response: ServerResponse;
  readonly speech: Speech;
  readonly periodMs: number;
  dueAt: number;
  place: number;
}

const paced = new Set<Stream>();
let count = 0;

/** The first piece immediately; the others in the rhythm, each stream with a phase of its own. */
function pace(response: ServerResponse, speech: Speech): void {
  const periodMs = 1000 / speech.perSecond;
  const phase = (count++ * goldenRatio) % 1;
  const stream = { response, speech, periodMs, dueAt: performance.now() + (1 + phase) * periodMs, place: 1 };
  response.write(chunk({ role: 'assistant', content: '' }, null) + say(0, speech));
  response.on('close', () => paced.delete(stream));
  paced.add(stream);
}

setInterval(() => {
  const now = performance.now();
  for (const stream of paced) {
    const { response, speech, periodMs } = stream;
    let due = '';
    for (; stream.dueAt <= now && stream.place < speech.pieces; stream.dueAt += periodMs)
      due += say(stream.place++, speech);
    if (stream.place < speech.pieces) {
      if (due !== '') response.write(due);
      continue;
    }
    paced.delete(stream);
    response.end(due + endOf(speech));
  }
}, tickMs);

/** Calls a tool without arguments. */
function call(response: ServerResponse, name: string): void {
  const calls = [{ index: 0, id: `call_${++count}`, type: 'function', function: { name, arguments: '{}' } }];
  response.end(`${chunk({ role: 'assistant', tool_calls: calls }, null)}${chunk({}, 'tool_calls')}data: [DONE]\n\n`);
}

/** The tools: one that answers, and one that never does. */
function answerTool(path: string, response: ServerResponse): void {
  if (path.endsWith('/pay')) response.writeHead(200, { 'content-type': 'application/json' }).end('{"paid":true}');
}

async function pour(response: ServerResponse, speech: Speech): Promise<void> {
  const closed = once(response, 'close');
  for (let place = 0; place < speech.pieces && !response.destroyed; place++) {
    if (!response.write(say(place, speech))) await Promise.race([once(response, 'drain'), closed]);
  }
  response.end(endOf(speech));
}

const server = createServer(async (request, response) => {
  if (request.url?.startsWith('/tools/')) return answerTool(request.url, response);
  try {
    const { messages } = chatRequest.parse(await json(request));
    const said = messages.findLast(({ role }) => role === 'user')?.content ?? '';
    if (said === saysNothing) return;
    const [, tool] = callsTool.exec(said) ?? [];
    const isCalled = messages.at(-1)?.role === 'tool' || tool === 'none';
    const asked = tool === undefined ? readSpeech(said) : { pieces: 1, bytes: 6, perSecond: 0 };
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    if (tool !== undefined && !isCalled) call(response, tool);
    else if (asked.perSecond > 0) pace(response, asked);
    else await pour(response, asked);
  } catch (error) {
    response.writeHead(400, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: { message: String(error), type: 'invalid_request_error' } }));
  }
});
server.keepAliveTimeout = 120_000;
endWithParent();
listenOnLoopback(server);
