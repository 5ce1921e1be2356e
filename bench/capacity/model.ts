import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** What is known of one turn, of one instance and of one socket. Milliseconds are of CPU time. */
const capacityInputs = z.object({
  measuredOn: z.string(),
  /** The names of those that nobody has measured. */
  estimated: z.array(z.string()).default([]),
  /** Of a turn, without the delivery of its tokens one by one. */
  serverCpuMsPerTurn: z.number().positive(),
  /** Of each token that is delivered at the pace of a reader. */
  serverCpuMsPerPacedToken: z.number().nonnegative(),
  databaseCpuMsPerTurn: z.number().positive(),
  statementsPerTurn: z.number().positive(),
  /** Checkpoints, leases and the search for lost runs. */
  statementsPerInstanceAndSecond: z.number().nonnegative(),
  connectionsPerInstance: z.number().positive(),
  /** What a turn leaves in the tables, without indexes. */
  bytesPerTurn: z.record(z.string(), z.number().nonnegative()),
  /** Tables and indexes together, as a multiple of the rows. */
  indexFactor: z.number().min(1),
  /** Memory of a turn that is under way, with its reader. */
  liveBytesPerTurn: z.number().positive(),
  bytesPerSocket: z.number().positive(),
  socketsPerInstance: z.number().positive(),
  redisBytesPerToken: z.number().nonnegative(),
  redisCommandsPerTurn: z.number().nonnegative(),
});
export type CapacityInputs = z.output<typeof capacityInputs>;

/** Reads a file of inputs. */
export function readInputs(path: string): CapacityInputs {
  return capacityInputs.parse(JSON.parse(readFileSync(path, 'utf8')));
}

/** How the users behave. */
export interface Load {
  readonly users: number;
  readonly turnsPerUserAndDay: number;
  /** The busiest hour, as a multiple of the average one. */
  readonly peakFactor: number;
  readonly tokensPerTurn: number;
  readonly tokensPerSecond: number;
  /** The part of the users that is connected in the busiest hour. */
  readonly connected: number;
  /** How much of a core may be in use. */
  readonly headroom: number;
}

export const usualLoad: Omit<Load, 'users'> = {
  turnsPerUserAndDay: 10,
  peakFactor: 4,
  tokensPerTurn: 200,
  tokensPerSecond: 50,
  connected: 0.1,
  headroom: 0.6,
};

/** What a load takes in its busiest hour, and what it leaves in a day. */
export interface Capacity {
  readonly turnsPerSecond: number;
  readonly turnsAtOnce: number;
  readonly sockets: number;
  readonly serverCores: number;
  readonly instances: number;
  readonly memoryBytes: number;
  readonly databaseCores: number;
  readonly statementsPerSecond: number;
  readonly connections: number;
  readonly storageBytesPerDay: number;
  readonly rowsOfMessagesPerDay: number;
  readonly redisBytesPerSecond: number;
  readonly redisCommandsPerSecond: number;
}

const daySeconds = 24 * 3_600;

/** Computes what a load takes: each figure is a product of what was measured, and turns at once are those of Little's law. */
export function computeCapacity(inputs: CapacityInputs, load: Load): Capacity {
  const turnsPerSecond = (load.users * load.turnsPerUserAndDay * load.peakFactor) / daySeconds;
  const turnsAtOnce = turnsPerSecond * (load.tokensPerTurn / load.tokensPerSecond);
  const sockets = load.users * load.connected;
  const cpuMsPerTurn = inputs.serverCpuMsPerTurn + load.tokensPerTurn * inputs.serverCpuMsPerPacedToken;
  const serverCores = (turnsPerSecond * cpuMsPerTurn) / 1_000 / load.headroom;
  const instances = Math.max(2, Math.ceil(serverCores), Math.ceil(sockets / inputs.socketsPerInstance));
  // Events of conversations are there for a day.
  const { feed: _temporary, ...lasting } = inputs.bytesPerTurn;
  const perTurn = Object.values(lasting).reduce((sum, bytes) => sum + bytes, 0);
  const turnsPerDay = load.users * load.turnsPerUserAndDay;
  return {
    turnsPerSecond,
    turnsAtOnce,
    sockets,
    serverCores,
    instances,
    memoryBytes: turnsAtOnce * inputs.liveBytesPerTurn + sockets * inputs.bytesPerSocket,
    databaseCores: (turnsPerSecond * inputs.databaseCpuMsPerTurn) / 1_000 / load.headroom,
    statementsPerSecond: turnsPerSecond * inputs.statementsPerTurn + instances * inputs.statementsPerInstanceAndSecond,
    connections: instances * inputs.connectionsPerInstance,
    storageBytesPerDay: turnsPerDay * perTurn * inputs.indexFactor,
    rowsOfMessagesPerDay: turnsPerDay * 2,
    redisBytesPerSecond: turnsPerSecond * load.tokensPerTurn * inputs.redisBytesPerToken,
    redisCommandsPerSecond: turnsPerSecond * inputs.redisCommandsPerTurn,
  };
}

/** What one machine of its kind can do: beyond it, the work has to be divided. */
const ceilings = {
  /** Cores of one PostgreSQL server. */
  databaseCores: 64,
  /** Connections of one PostgreSQL server; poolers in front of it allow ten times as many. */
  connections: 5_000,
  /** Bytes of tables and indexes of one server, after a year. */
  storageBytes: 30e12,
  /** Of one Redis server. */
  redisBytesPerSecond: 1e9,
  redisCommandsPerSecond: 100_000,
} as const;

/** What is beyond one machine, the worst first, with how many times it is. */
export function findSaturated(capacity: Capacity): { readonly what: string; readonly times: number }[] {
  const used = {
    databaseCores: capacity.databaseCores,
    connections: capacity.connections,
    storageBytes: capacity.storageBytesPerDay * 365,
    redisBytesPerSecond: capacity.redisBytesPerSecond,
    redisCommandsPerSecond: capacity.redisCommandsPerSecond,
  };
  return Object.entries(ceilings)
    .map(([what, ceiling]) => ({
      what,
      times: (Object.entries(used).find(([name]) => name === what)?.[1] ?? 0) / ceiling,
    }))
    .filter(({ times }) => times > 1)
    .sort((a, b) => b.times - a.times);
}
