import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';

const anyValue = z.object({
  stringValue: z.string().optional(),
  intValue: z.union([z.string(), z.number()]).optional(),
  doubleValue: z.number().optional(),
  boolValue: z.boolean().optional(),
  arrayValue: z.unknown().optional(),
});
const attributes = z.array(z.object({ key: z.string(), value: anyValue })).transform((list) =>
  Object.fromEntries(
    list.map(({ key, value }): [string, unknown] => {
      const { stringValue, intValue, doubleValue, boolValue, arrayValue } = value;
      return [key, stringValue ?? intValue ?? doubleValue ?? boolValue ?? arrayValue];
    }),
  ),
);
const span = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  name: z.string(),
  kind: z.number(),
  startTimeUnixNano: z.string(),
  endTimeUnixNano: z.string(),
  attributes,
  links: z.array(z.object({ traceId: z.string(), spanId: z.string() })).default([]),
  status: z.object({ code: z.number().optional() }),
});
export type ReceivedSpan = z.output<typeof span>;

const body = z.object({
  resourceSpans: z.array(
    z.object({ resource: z.object({ attributes }), scopeSpans: z.array(z.object({ spans: z.array(span) })) }),
  ),
});

/** A collector of OTLP over HTTP: it keeps what it was sent. */
export interface OtlpReceiver extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly { readonly headers: IncomingHttpHeaders; readonly path: string; readonly body: Buffer }[];
  /** The spans that came as JSON. */
  readonly spans: readonly ReceivedSpan[];
  /** What they say of the process that sent them. */
  readonly resources: readonly Record<string, unknown>[];
  /** All that it was sent, as text. */
  readonly text: string;
}

/** Starts a collector on a free port. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const requests: OtlpReceiver['requests'][number][] = [];
  const spans: ReceivedSpan[] = [];
  const resources: Record<string, unknown>[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const received = Buffer.concat(chunks);
      requests.push({ headers: request.headers, path: request.url ?? '', body: received });
      if (request.headers['content-type'] === 'application/json') {
        for (const { resource, scopeSpans } of body.parse(JSON.parse(received.toString())).resourceSpans) {
          resources.push(resource.attributes);
          for (const scope of scopeSpans) spans.push(...scope.spans);
        }
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    spans,
    resources,
    get text() {
      return requests.map(({ body: sent }) => sent.toString('latin1')).join('\n');
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
