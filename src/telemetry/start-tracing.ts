import { type TracingConfig, tracing, useTracing } from './spans.ts';

/**
 * Begins to export spans, until the result is disposed; what is left is exported then. The SDK is loaded here and nowhere
 * else: without tracing, it costs nothing.
 */
export async function startTracing(config: TracingConfig, version: string): Promise<AsyncDisposable> {
  const { openTracing } = await import('./otel.ts');
  const opened = openTracing(config, version);
  useTracing(opened);
  return {
    async [Symbol.asyncDispose]() {
      if (tracing() === opened) useTracing(null);
      await opened[Symbol.asyncDispose]();
    },
  };
}
