import { Gauge } from '@prometheus-io/client';
import { registry } from './metrics.ts';

/** How a pool of connections to the database stands. */
export interface PoolLoad {
  readonly open: number;
  readonly idle: number;
  /** Statements that wait for a connection. */
  readonly waiting: number;
}

/** How the readers of runs stand. */
interface CursorLoad {
  readonly open: number;
  /** Those that have not read all events. */
  readonly behind: number;
  /** How many events the slowest of them has not read. */
  readonly maxLag: number;
}

/** How the events of live runs stand. */
interface LogLoad {
  /** Runs with events in memory. */
  readonly runs: number;
  readonly events: number;
  readonly bytes: number;
  /** The age of the oldest event that is not in the rows yet, in seconds; 0: all are. */
  readonly lagSeconds: number;
}

/** How the log stands that instances share. */
interface SharedLogLoad {
  readonly isReachable: boolean;
  /** Runs of other instances that are read here, and those of them that are read in the database. */
  readonly followed: number;
  readonly followedInDatabase: number;
  /** The age of the oldest event that was not sent, in seconds. */
  readonly lagSeconds: number;
}

/** How one app stands at this moment: it is asked when the metrics are read. */
export interface Standing {
  readonly turns: number;
  readonly sockets: number;
  readonly eventStreams: number;
  readonly feedReaders: number;
  readonly cursors: CursorLoad;
  readonly log: LogLoad;
  readonly sharedLog: SharedLogLoad;
  readonly pools: Readonly<Record<'main' | 'upkeep', PoolLoad>>;
  /** Whether the leases of turns are renewed in time. */
  readonly isRenewing: boolean;
}

const sources = new Set<() => Standing>();

/** Reports how an app stands until the result is disposed. Several apps of one process are added up. */
export function reportStanding(read: () => Standing): Disposable {
  sources.add(read);
  return { [Symbol.dispose]: () => void sources.delete(read) };
}

/** How the apps stand, taken once for all gauges that are read together. */
let taken: readonly Standing[] | null = null;

function readStandings(): readonly Standing[] {
  if (taken === null) {
    taken = [...sources].map((read) => read());
    setImmediate(() => {
      taken = null;
    });
  }
  return taken;
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const max = (values: readonly number[]) => Math.max(0, ...values);

function gauge(name: string, help: string, value: (standing: Standing) => number, combine = sum): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(combine(readStandings().map(value)));
    },
  });
}

gauge('switchboard_turns_running', 'Turns that this process carries out now.', ({ turns }) => turns);
gauge('switchboard_sockets_open', 'Open WebSockets.', ({ sockets }) => sockets);
gauge('switchboard_sse_streams_open', 'Open event streams over HTTP.', ({ eventStreams }) => eventStreams);
gauge('switchboard_feed_readers', 'Open subscriptions to conversationEvents.', ({ feedReaders }) => feedReaders);
gauge('switchboard_cursors_open', 'Readers of runs.', ({ cursors }) => cursors.open);
gauge('switchboard_cursors_behind', 'Readers of runs that have not read all events.', ({ cursors }) => cursors.behind);
gauge(
  'switchboard_cursor_lag_events',
  'Events that the slowest reader of a run has not read.',
  ({ cursors }) => cursors.maxLag,
  max,
);
gauge('switchboard_log_runs', 'Runs whose events are in memory.', ({ log }) => log.runs);
gauge('switchboard_log_events', 'Events of runs in memory.', ({ log }) => log.events);
gauge('switchboard_log_bytes', 'Bytes of text in the events of runs in memory.', ({ log }) => log.bytes);
gauge(
  'switchboard_log_lag_seconds',
  'Age of the oldest event of a running turn that is not in the database yet.',
  ({ log }) => log.lagSeconds,
  max,
);
gauge(
  'switchboard_shared_log_reachable',
  '1 if Redis can be reached, or if there is none; else 0.',
  ({ sharedLog }) => (sharedLog.isReachable ? 1 : 0),
  (values) => Math.min(1, ...values),
);
gauge(
  'switchboard_shared_log_followed',
  'Runs of other instances whose events are read here.',
  ({ sharedLog }) => sharedLog.followed,
);
gauge(
  'switchboard_shared_log_followed_in_database',
  'Runs of other instances whose events are read here in the database.',
  ({ sharedLog }) => sharedLog.followedInDatabase,
);
gauge(
  'switchboard_shared_log_lag_seconds',
  'Age of the oldest event of a running turn that was not sent to Redis yet.',
  ({ sharedLog }) => sharedLog.lagSeconds,
  max,
);
gauge(
  'switchboard_leases_renewed',
  '1 if the leases of the turns of this process are renewed in time, else 0.',
  ({ isRenewing }) => (isRenewing ? 1 : 0),
  (values) => Math.min(1, ...values),
);

new Gauge({
  name: 'switchboard_database_connections',
  help: 'Connections to the database. pool: main, upkeep (leases). state: busy, idle.',
  labelNames: ['pool', 'state'],
  registers: [registry],
  collect() {
    for (const pool of ['main', 'upkeep'] as const) {
      const loads = readStandings().map(({ pools }) => pools[pool]);
      this.set({ pool, state: 'idle' }, sum(loads.map(({ idle }) => idle)));
      this.set({ pool, state: 'busy' }, sum(loads.map(({ open, idle }) => open - idle)));
    }
  },
});

new Gauge({
  name: 'switchboard_database_waiting',
  help: 'Statements that wait for a connection to the database. pool: main, upkeep (leases).',
  labelNames: ['pool'],
  registers: [registry],
  collect() {
    for (const pool of ['main', 'upkeep'] as const) {
      this.set({ pool }, sum(readStandings().map(({ pools }) => pools[pool].waiting)));
    }
  },
});
