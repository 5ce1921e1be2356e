import { createServer } from 'node:http';

/** What an embeddings endpoint of a test was asked. */
interface Asked {
  readonly model: string;
  readonly authorization: string;
  readonly input: readonly string[];
}

/**
 * An embeddings endpoint whose vectors count the letters of a text: by default in eight numbers. The models `nan` and
 * `shorter` return null in a vector, and a number less than they were asked for. `state.replaced` has another model answer to the
 * same name, whose vectors say nothing to the first one's.
 */
export async function startEmbeddingServer() {
  const asked: Asked[] = [];
  const state: { status: number; replaced: boolean } = { status: 200, replaced: false };
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const { model, input, dimensions = 8 } = JSON.parse(body);
    asked.push({ model, input, authorization: request.headers.authorization ?? '' });
    if (state.status !== 200) {
      response.writeHead(state.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: { message: 'It fails.' } }));
      return;
    }
    const data = input.map((text: string, index: number) => {
      const embedding = new Array<number | null>(dimensions).fill(1);
      for (const letter of text) {
        const place = letter.charCodeAt(0) % dimensions;
        embedding[place] = (embedding[place] ?? 0) + 1;
      }
      if (state.replaced)
        for (const place of embedding.keys()) embedding[place] = (embedding[place] ?? 0) * (place % 2 === 0 ? 1 : -1);
      if (model === 'nan') embedding[0] = null;
      return { object: 'embedding', index, embedding: model === 'shorter' ? embedding.slice(1) : embedding };
    });
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ object: 'list', model, data }));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('It listens on no port.');
  return {
    host: `127.0.0.1:${address.port}`,
    url: `http://127.0.0.1:${address.port}/v1`,
    asked,
    /** What every request is answered with. */
    state,
    close: () =>
      new Promise<void>((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
