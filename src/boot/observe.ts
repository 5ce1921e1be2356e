import { once } from 'node:events';
import type { Logger } from 'pino';
import packageFile from '../../package.json' with { type: 'json' };
import { StartError } from '../api/errors.ts';
import type { Env } from '../config/env.ts';
import type { RunScheduler } from '../runs/scheduler/scheduler.ts';
import { createMetricsServer } from '../server/http/metrics.ts';
import type { PoolLoad, Standing } from '../telemetry/gauges.ts';
import { reportStanding } from '../telemetry/gauges.ts';
import { collectProcessMetrics } from '../telemetry/metrics.ts';
import { knowModels } from '../telemetry/model-label.ts';
import { startTracing } from '../telemetry/start-tracing.ts';

/** Begins to export traces, if the environment says where to. What is left is exported when `opening` is closed. */
export async function exportTraces({ tracing }: Env, opening: AsyncDisposableStack): Promise<void> {
  if (tracing) opening.use(await startTracing(tracing, packageFile.version));
}

/** What is asked when the metrics are read. */
export interface Observed {
  readonly runs: Pick<RunScheduler, 'running' | 'log' | 'cursors' | 'isRenewing' | 'remote'>;
  readonly feed: { readonly size: number };
  readonly sharedLog: { readonly isReachable: boolean; readonly lagSeconds: number } | null;
  readonly sockets: { readonly size: number };
  readonly responses: { readonly eventStreams: number };
  readonly pools: Readonly<Record<'main' | 'upkeep', { readonly load: PoolLoad }>>;
}

/**
 * Reports how the app stands, and serves the metrics at a port of their own if METRICS_PORT says so.
 * @returns the port of the metrics; null: they have none of their own
 * @throws {StartError} when the port is in use
 */
export async function serveMetrics(
  env: Env,
  observed: Observed,
  { logger, opening }: { readonly logger: Logger; readonly opening: AsyncDisposableStack },
): Promise<number | null> {
  if (env.metrics === null) return null;
  collectProcessMetrics(packageFile.version);
  knowModels([env.model, ...env.modelsAllowed.filter((model) => model !== '*')]);
  opening.use(reportStanding(() => readStanding(observed)));
  const { port, token } = env.metrics;
  if (port === null) return null;
  const server = createMetricsServer(token);
  server.listen(port, env.host);
  await once(server, 'listening').catch((cause: unknown) => {
    const message = `Cannot listen on ${env.host}:${port} for the metrics. Stop the other process, or set METRICS_PORT.`;
    throw new StartError(message, { cause });
  });
  opening.defer(async () => {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  });
  const address = server.address();
  const bound = address === null || typeof address === 'string' ? port : address.port;
  logger.info({ port: bound }, 'the metrics are served at /metrics of a port of their own');
  return bound;
}

function readStanding({ runs, feed, sharedLog, sockets, responses, pools }: Observed): Standing {
  const lags = [...runs.cursors].map(({ lag }) => lag);
  const buffers = runs.log.runIds().flatMap((id) => runs.log.find(id) ?? []);
  return {
    turns: runs.running.size,
    sockets: sockets.size,
    eventStreams: responses.eventStreams,
    feedReaders: feed.size,
    cursors: {
      open: lags.length,
      behind: lags.filter((lag) => lag > 0).length,
      maxLag: lags.reduce((most, lag) => Math.max(most, lag), 0),
    },
    log: {
      runs: buffers.length,
      events: buffers.reduce((sum, { events }) => sum + events.length, 0),
      bytes: buffers.reduce((sum, { bytes }) => sum + bytes, 0),
      lagSeconds: readLagSeconds(runs),
    },
    sharedLog: {
      isReachable: sharedLog?.isReachable ?? true,
      followed: runs.remote.size,
      followedInDatabase: runs.remote.readInDatabase,
      lagSeconds: sharedLog?.lagSeconds ?? 0,
    },
    pools: { main: pools.main.load, upkeep: pools.upkeep.load },
    isRenewing: runs.isRenewing,
  };
}

/** The age of the oldest event of a running turn that no checkpoint has saved. */
function readLagSeconds({ running, log }: Observed['runs']): number {
  const now = Date.now();
  const moment = performance.now();
  const ages = [...running.values()].map(({ run, progress }) => {
    const buffer = log.find(run.id);
    const oldest = buffer?.events[buffer.indexAfter(progress.savedSeqAt(moment))];
    return oldest === undefined ? 0 : (now - oldest.at) / 1_000;
  });
  return ages.reduce((most, age) => Math.max(most, age), 0);
}
