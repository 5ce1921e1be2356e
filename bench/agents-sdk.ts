import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { Agent, run, setDefaultOpenAIClient, setOpenAIAPI, setTracingDisabled } from '@openai/agents';
import OpenAI from 'openai';
import { z } from 'zod';
import { listenOnLoopback } from './listen.ts';

// The baseline `agents-sdk`: the OpenAI Agents SDK in its smallest route. The message comes as the body of a POST, the
// text goes out as server-sent events, one per token. Nothing stored, nobody asked who they are.

setDefaultOpenAIClient(new OpenAI({ apiKey: 'none', baseURL: z.url().parse(process.env.OPENAI_BASE_URL) }));
setOpenAIAPI('chat_completions');
setTracingDisabled(true);

const agent = new Agent({ name: 'bench', instructions: 'Be brief.', model: 'bench' });

const server = createServer(async (request, response) => {
  const content = await text(request);
  if (content === '') {
    response.end();
    return;
  }
  const stream = await run(agent, content, { stream: true });
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for await (const delta of stream.toTextStream()) response.write(`data: ${JSON.stringify({ delta })}\n\n`);
  await stream.completed;
  response.end('event: done\ndata:\n\n');
});
// Clients open their sockets before they are measured.
server.keepAliveTimeout = 120_000;
listenOnLoopback(server);
