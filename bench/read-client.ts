import { Agent, request } from 'node:http';
import { z } from 'zod';

/** A request that is sent again and again. */
export const readAsk = z.strictObject({
  url: z.url(),
  headers: z.record(z.string(), z.string()),
  /** Null: a GET. */
  body: z.string().nullable(),
  connections: z.int().positive(),
  ms: z.int().positive(),
});

export const readCount = z.object({ requests: z.int(), ms: z.number(), answer: z.string() });

/**
 * Sends a request on so many connections, on each the next one after the answer, for so many milliseconds.
 * @throws unless all answers have status 200 and the length of the first
 */
export async function countReads(params: unknown): Promise<z.infer<typeof readCount>> {
  const { url, headers, body, connections, ms } = readAsk.parse(params);
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const send = () =>
    new Promise<string>((resolve, reject) => {
      request(url, { method: body === null ? 'GET' : 'POST', agent, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          if (response.statusCode === 200) resolve(text);
          else reject(new Error(`${response.statusCode}: ${text}`));
        });
      })
        .on('error', reject)
        .end(body ?? undefined);
    });
  try {
    const answer = await send();
    const startedAt = performance.now();
    let requests = 0;
    const connection = async () => {
      while (performance.now() - startedAt < ms) {
        const given = await send();
        if (given.length !== answer.length) throw new Error(`Another answer than before: ${given.slice(0, 500)}`);
        requests++;
      }
    };
    await Promise.all(Array.from({ length: connections }, connection));
    return { requests, ms: performance.now() - startedAt, answer };
  } finally {
    agent.destroy();
  }
}
