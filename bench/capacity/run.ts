import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Capacity, computeCapacity, findSaturated, type Load, readInputs, usualLoad } from './model.ts';
import { simulateLoad } from './simulate.ts';

// npm run capacity: what an installation takes for so many users, computed from what the bench has measured, and from estimates.

const usage = `Usage: npm run -s capacity -- [--users 10000,1000000] [--turns-per-day 10] [--peak 4] [--tokens 200]
                               [--tokens-per-second 50] [--connected 0.1] [--inputs file.json]`;

const number = (written: string | undefined, fallback: number): number => {
  const read = written === undefined ? fallback : Number(written);
  if (!(read > 0)) throw new Error(`${written} is no number above 0.\n${usage}`);
  return read;
};

const formats: Readonly<Record<keyof Capacity, (value: number) => string>> = {
  turnsPerSecond: (value) => `${round(value)} turns/s begin`,
  turnsAtOnce: (value) => `${round(value)} turns at the same time`,
  sockets: (value) => `${round(value)} sockets`,
  serverCores: (value) => `${round(value)} cores of servers`,
  instances: (value) => `${round(value)} instances`,
  memoryBytes: (value) => `${bytes(value)} of memory for turns and sockets`,
  databaseCores: (value) => `${round(value)} cores of PostgreSQL`,
  statementsPerSecond: (value) => `${round(value)} statements/s`,
  connections: (value) => `${round(value)} connections to PostgreSQL`,
  storageBytesPerDay: (value) => `${bytes(value)} of tables and indexes a day, ${bytes(value * 365)} a year`,
  rowsOfMessagesPerDay: (value) => `${round(value)} rows of messages a day`,
  redisBytesPerSecond: (value) => `${bytes(value)}/s through Redis`,
  redisCommandsPerSecond: (value) => `${round(value)} commands/s of Redis`,
};

function round(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(2);
}

function bytes(value: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  return `${(value / 1_000 ** step).toPrecision(3)} ${units[step]}`;
}

const options = ['users', 'turns-per-day', 'peak', 'tokens', 'tokens-per-second', 'connected', 'inputs'] as const;
const { values } = parseArgs({ options: Object.fromEntries(options.map((name) => [name, { type: 'string' }])) });
const given = (name: (typeof options)[number]) => (typeof values[name] === 'string' ? values[name] : undefined);
const inputs = readInputs(given('inputs') ?? join(import.meta.dirname, 'inputs.json'));
const common: Omit<Load, 'users'> = {
  turnsPerUserAndDay: number(given('turns-per-day'), usualLoad.turnsPerUserAndDay),
  peakFactor: number(given('peak'), usualLoad.peakFactor),
  tokensPerTurn: number(given('tokens'), usualLoad.tokensPerTurn),
  tokensPerSecond: number(given('tokens-per-second'), usualLoad.tokensPerSecond),
  connected: number(given('connected'), usualLoad.connected),
  headroom: usualLoad.headroom,
};
console.log(`From ${inputs.measuredOn}.`);
if (inputs.estimated.length > 0) console.log(`Estimated, not measured: ${inputs.estimated.join(', ')}.`);
for (const users of (given('users') ?? '10000,1000000,100000000').split(',')) {
  const load = { ...common, users: number(users, 1) };
  const capacity = computeCapacity(inputs, load);
  console.log(`\n${load.users.toLocaleString('en')} users`);
  for (const [name, value] of Object.entries(capacity)) console.log(`  ${describe(name, value)}`);
  const saturated = findSaturated(capacity);
  console.log(
    `  beyond one machine: ${saturated.map(({ what, times }) => `${what} (${round(times)} times)`).join(', ') || 'nothing'}`,
  );
}
const small = simulateLoad({ turnsPerSecond: 50, turnSeconds: 4, places: 260, seconds: 600, seed: 7 });
console.log(
  `\nSimulated: 50 turns/s of 4 s on 260 places: ${round(small.averageAtOnce)} at the same time, ${small.maxAtOnce} at most, ${(small.waited * 100).toFixed(1)} % wait`,
);

function describe(name: string, value: number): string {
  const found = Object.entries(formats).find(([key]) => key === name);
  return found ? found[1](value) : `${name}: ${value}`;
}
