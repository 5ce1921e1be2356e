import { createServer } from 'node:http';
import { findRefusal } from '../../support/scripted-model/strict-history.ts';

/** Starts a server that refuses what strict servers refuse, and otherwise says "Hi.". */
export async function startStrictServer() {
  const requests: unknown[] = [];
  const refusals: string[] = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    const json: unknown = JSON.parse(text);
    requests.push(json);
    const isResponses = request.url?.endsWith('/responses') === true;
    const refusal = findRefusal(isResponses ? 'RESPONSES' : 'CHAT_COMPLETIONS', json);
    if (refusal !== null) {
      refusals.push(refusal);
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ object: 'error', message: refusal, code: 400 }));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const chunk = { choices: [{ index: 0, delta: { content: 'Hi.' }, finish_reason: 'stop' }] };
    const output = [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Hi.' }] }];
    const completed = { type: 'response.completed', response: { status: 'completed', output } };
    response.end(`data: ${JSON.stringify(isResponses ? completed : chunk)}\n\ndata: [DONE]\n\n`);
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
