import type { Variables } from './variables.ts';

/** How the metrics are read. */
export interface MetricsEnv {
  /** A port of their own; null: the port of the server. */
  readonly port: number | null;
  /** The token that has to be presented; null: none. */
  readonly token: string | null;
}

/** @returns null: nobody can read them */
export function readMetrics({ METRICS_PORT, METRICS_TOKEN }: Variables): MetricsEnv | null {
  const port = METRICS_PORT ?? null;
  const token = METRICS_TOKEN ?? null;
  return port === null && token === null ? null : { port, token };
}
