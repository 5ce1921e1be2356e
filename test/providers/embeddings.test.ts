import { createServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ModelServer, startModelServer } from '../../src/demo/server.ts';
import { AddressGuard } from '../../src/outbound/address-guard.ts';
import { createOpenAiEmbeddings } from '../../src/providers/embeddings/embed.ts';
import { type EmbeddingEndpoint, locateEmbedding } from '../../src/providers/embeddings/presets.ts';
import { readVectors } from '../../src/providers/embeddings/read-vectors.ts';

const { signal } = new AbortController();
let demo: ModelServer;
const port = createOpenAiEmbeddings({ guard: new AddressGuard(), timeoutMs: 5_000 });

beforeAll(async () => {
  demo = await startModelServer({ respond: () => ({ text: '' }) });
});
afterAll(() => demo.close());

function endpointAt(apiUrl: string, changes: Partial<EmbeddingEndpoint> = {}): EmbeddingEndpoint {
  const located = locateEmbedding({ provider: 'custom', apiUrl, model: 'some-model', dimensions: null });
  if (located === null) throw new Error('It has no address.');
  return { ...located, apiKey: 'secret-key', guarded: false, ...changes };
}

/** A server that answers each request with the next of the answers, and remembers what it was sent. */
async function answering(...answers: readonly { readonly status?: number; readonly body: unknown }[]) {
  const received: { readonly url: string; readonly key: string; readonly body: string }[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    received.push({ url: request.url ?? '', key: request.headers.authorization ?? '', body });
    const answer = answers[received.length - 1] ?? answers.at(-1);
    response.writeHead(answer?.status ?? 200, { 'content-type': 'application/json', 'retry-after-ms': '1' });
    response.end(JSON.stringify(answer?.body));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('It listens on no port.');
  return {
    url: `http://127.0.0.1:${address.port}/v1`,
    received,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

const data = (...embeddings: readonly unknown[]) => ({
  data: embeddings.map((embedding, index) => ({ object: 'embedding', index, embedding })),
});

function cosine(a: readonly number[] = [], b: readonly number[] = []): number {
  return a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
}

describe('Embeddings', () => {
  test('The demo gives the same text the same vector, and texts with the same words similar ones', async () => {
    const texts = ['Refunds take five days.', 'How long does a refund take?', 'The moon has no atmosphere.', ''];
    const [refund, question, moon, empty] = await port.embed(endpointAt(demo.url), texts, signal);
    expect(await port.embed(endpointAt(demo.url), texts, signal)).toEqual([refund, question, moon, empty]);
    expect(refund).toHaveLength(256);
    expect(cosine(refund, refund)).toBeCloseTo(1);
    expect(cosine(refund, question)).toBeGreaterThan(cosine(refund, moon) + 0.2);
    const [short] = await port.embed(endpointAt(demo.url, { dimensions: 32 }), ['Refunds'], signal);
    expect(short).toHaveLength(32);
  });

  test('Many texts are sent in several requests, and come back in their order', async () => {
    const texts = Array.from({ length: 150 }, (_, number) => `The text number ${number} about subject${number}`);
    const vectors = await port.embed(endpointAt(demo.url), texts, signal);
    expect(vectors).toHaveLength(150);
    const [alone] = await port.embed(endpointAt(demo.url), [texts[140] ?? ''], signal);
    expect(cosine(vectors[140], alone)).toBeCloseTo(1);
  });

  test('A request that fails for a moment is tried again, with the key and the dimensions', async () => {
    await using server = await answering({ status: 429, body: { error: { message: 'busy' } } }, { body: data([3, 4]) });
    const vectors = await port.embed(endpointAt(server.url, { dimensions: 2 }), ['a'], signal);
    expect(vectors).toEqual([[0.6, 0.8]]);
    expect(server.received.map(({ url }) => url)).toEqual(['/v1/embeddings', '/v1/embeddings']);
    expect(server.received[1]?.key).toBe('Bearer secret-key');
    expect(JSON.parse(server.received[1]?.body ?? '')).toEqual({
      model: 'some-model',
      input: ['a'],
      encoding_format: 'float',
      dimensions: 2,
    });
  });

  test('A vector of another dimension, with NaN in it, of length zero, or that is missing is an error of its kind', () => {
    const read =
      (answer: unknown, dimensions: number | null = 2, count = 2) =>
      () =>
        readVectors(answer, { count, dimensions });
    expect(read(data([1, 0], [0, 1]))()).toEqual([
      [1, 0],
      [0, 1],
    ]);
    expect(read(data([1, 0, 0], [0, 1, 0]))).toThrow(expect.objectContaining({ vectorProblem: 'DIMENSIONS' }));
    expect(read(data([1, 0], [0, 1, 0]), null)).toThrow(expect.objectContaining({ vectorProblem: 'DIMENSIONS' }));
    expect(read(data([], []), null)).toThrow(expect.objectContaining({ vectorProblem: 'DIMENSIONS' }));
    const long = new Array<number>(4_001).fill(1);
    expect(read(data(long, long), null)).toThrow(expect.objectContaining({ vectorProblem: 'DIMENSIONS' }));
    for (const wrong of [Number.NaN, null, 'NaN', Number.POSITIVE_INFINITY, 1e300]) {
      const twice = data([wrong, wrong], [0, 1]);
      expect(read(twice)).toThrow(expect.objectContaining({ vectorProblem: 'NOT_FINITE' }));
    }
    expect(read(data([0, 0], [0, 1]))).toThrow(expect.objectContaining({ vectorProblem: 'ZERO' }));
    expect(read(data([1, 0]))).toThrow(expect.objectContaining({ vectorProblem: 'COUNT' }));
    const twiceTheSame = { data: [0, 0].map((index) => ({ index, embedding: [1, 0] })) };
    expect(read(twiceTheSame)).toThrow(expect.objectContaining({ vectorProblem: 'COUNT' }));
    for (const other of [undefined, null, 'text', { data: 'no' }, { error: 'no' }]) {
      expect(read(other)).toThrow(expect.objectContaining({ vectorProblem: 'UNREADABLE', retryable: true }));
    }
    // More than were asked for are not looked at one by one, and the first wrong one ends it.
    const untouched = {
      get embedding() {
        throw new Error('It was read.');
      },
    };
    expect(read({ data: [untouched, untouched, untouched] })).toThrow(
      expect.objectContaining({ vectorProblem: 'COUNT' }),
    );
    expect(read({ data: [{}, untouched] })).toThrow(expect.objectContaining({ vectorProblem: 'UNREADABLE' }));
  });

  test('A refused key, an unknown model and a private address are told apart, and no key is in the error', async () => {
    await using server = await answering({ status: 401, body: { error: { message: 'bad key secret-key' } } });
    const refused = await port.embed(endpointAt(server.url), ['a'], signal).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'PROVIDER_FAILED', problem: 'INVALID_KEY', retryable: false });
    expect(JSON.stringify(refused, Object.getOwnPropertyNames(refused))).not.toContain('secret-key');
    await using unknown = await answering({ status: 404, body: { error: { message: 'no such model' } } });
    await expect(port.embed(endpointAt(unknown.url), ['a'], signal)).rejects.toMatchObject({
      problem: 'UNKNOWN_MODEL',
    });
    await expect(port.embed(endpointAt(server.url, { guarded: true }), ['a'], signal)).rejects.toMatchObject({
      problem: 'ADDRESS_NOT_ALLOWED',
    });
    expect(server.received).toHaveLength(1);
  });

  test('Presets say where providers are; Azure has its deployment in the path', () => {
    const choice = { provider: 'openai', apiUrl: null, model: 'text-embedding-3-small', dimensions: 512 };
    expect(locateEmbedding(choice)).toMatchObject({ apiUrl: 'https://api.openai.com/v1', path: '/embeddings' });
    expect(locateEmbedding({ ...choice, provider: 'custom' })).toBeNull();
    const apiUrl = 'https://x.openai.azure.com?api-version=2024-10-21';
    expect(locateEmbedding({ ...choice, provider: 'azure-openai', apiUrl })).toMatchObject({
      apiUrl: 'https://x.openai.azure.com/openai',
      path: '/deployments/text-embedding-3-small/embeddings',
      query: { 'api-version': '2024-10-21' },
      keyStyle: 'api-key',
    });
    const copied = { ...choice, provider: 'custom', apiUrl: 'https://example.com/v1/embeddings' };
    expect(locateEmbedding(copied)).toMatchObject({ apiUrl: 'https://example.com/v1', path: '/embeddings' });
  });
});
