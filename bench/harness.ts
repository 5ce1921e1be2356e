import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Ask } from './answer.ts';
import { listening } from './listen.ts';
import { readResident } from './proc.ts';
import { round } from './round.ts';
import { Child } from './rpc.ts';
import type { DatabaseKind } from './switchboard.ts';
import { readCpu, type System, type SystemName, startSystem } from './systems.ts';

/** What the scenarios share: the fake endpoint, the load client, and how they were asked to run. */
export interface Harness extends AsyncDisposable {
  readonly endpointUrl: string;
  readonly load: Child;
  /** Fewer and shorter rounds: to see that it works, not for figures. */
  readonly quick: boolean;
  /** Where a PostgreSQL server is, on which databases may be created. Null: only the embedded one is measured. */
  readonly databaseUrl: string | null;
  readonly databases: readonly DatabaseKind[];
  /** Variables that Switchboard is started with, beside those that the bench needs. */
  readonly settings: Readonly<Record<string, string>>;
  /** For the processes of Switchboard, to have them profiled. */
  readonly profileArguments: readonly string[];
}

/** What a scenario found out. */
export interface Report {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly notes: readonly string[];
}

export type Scenario = (harness: Harness) => Promise<Report>;

/** Starts the endpoint and the load client. */
export async function openHarness(options: {
  readonly quick: boolean;
  /** Measure PostgreSQL alone if it is there. */
  readonly oneDatabase: boolean;
  readonly databaseUrl: string | null;
  readonly profileDir: string | null;
  readonly settings: Readonly<Record<string, string>>;
}): Promise<Harness> {
  await using opening = new AsyncDisposableStack();
  const endpoint = opening.use(new Child('endpoint', new URL('./endpoint.ts', import.meta.url)));
  const load = opening.use(new Child('load', new URL('./load.ts', import.meta.url)));
  const endpointUrl = `${await endpoint.waitForOutput(listening)}/v1`;
  const opened = opening.move();
  const { quick, oneDatabase, databaseUrl, profileDir, settings } = options;
  const servers: readonly DatabaseKind[] = databaseUrl === null ? [] : ['postgresql'];
  return {
    endpointUrl,
    load,
    quick,
    databaseUrl,
    settings,
    databases: oneDatabase && servers.length > 0 ? servers : ['embedded', ...servers],
    profileArguments: profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`],
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Starts systems one after another; they live at the same time, and are measured in turns. */
export async function startSystems(
  harness: Harness,
  names: readonly SystemName[],
  stack: AsyncDisposableStack,
): Promise<System[]> {
  const systems: System[] = [];
  for (const name of names) systems.push(stack.use(await startSystem(name, harness)));
  return systems;
}

/** A round of turns, and the CPU seconds that it took the server. */
export interface MeasuredRound extends z.infer<typeof round> {
  readonly cpuSeconds: number;
  readonly mainThreadSeconds: number;
  /** CPU seconds of a PostgreSQL server. */
  readonly databaseSeconds: number;
  /** What it took to create the conversations of the turns, which is in none of the others. */
  readonly preparation: { readonly cpuSeconds: number; readonly databaseSeconds: number };
  /** The most that its processes held while the turns went on. */
  readonly residentBytes: number;
}

/** How long a server may go on with a round after its clients have seen the end of it. */
const afterwardsMs = 300;

const residentEveryMs = 400;

/** Has a system run so many turns at once; CPU is counted from before the first to after the last. */
export async function measureRound(
  harness: Harness,
  system: System,
  turns: number,
  asked: Ask & { readonly withinMs?: number },
): Promise<MeasuredRound> {
  const unprepared = await readCosts(system);
  const slots = await system.prepareSlots(turns);
  const prepared = await readCosts(system);
  await harness.load.call('connect', slots, z.int());
  await sleep(afterwardsMs);
  const before = await readCosts(system);
  let residentBytes = 0;
  const watch = setInterval(() => {
    residentBytes = Math.max(residentBytes, readResident(system.child.pid));
  }, residentEveryMs);
  const seen = await harness.load.call('run', asked, round).catch((cause: unknown) => {
    clearInterval(watch);
    const problems = system.child.output.split('\n').filter((line) => /^\{"level":[56]/.test(line));
    throw new Error(`${system.name} did not deliver.\n${problems.slice(-3).join('\n')}`, { cause });
  });
  clearInterval(watch);
  await sleep(afterwardsMs);
  const after = await readCosts(system);
  return {
    ...seen,
    cpuSeconds: after.process - before.process,
    mainThreadSeconds: after.mainThread - before.mainThread,
    databaseSeconds: after.database - before.database,
    preparation: {
      cpuSeconds: prepared.process - unprepared.process,
      databaseSeconds: prepared.database - unprepared.database,
    },
    residentBytes,
  };
}

async function readCosts(system: System) {
  return { ...(await readCpu(system)), database: system.readDatabaseCpu() };
}

/** Measures rounds of all systems in turns (A B C A B C), after a warm-up of each. */
export async function interleave(
  harness: Harness,
  systems: readonly System[],
  rounds: number,
  turns: number,
  asked: Ask,
): Promise<Map<string, MeasuredRound[]>> {
  const measured = new Map<string, MeasuredRound[]>(systems.map(({ name }) => [name, []]));
  const warmUp = { ...asked, tokens: Math.ceil(asked.tokens / 4) };
  for (const system of systems) await measureRound(harness, system, turns, warmUp);
  for (let count = 0; count < rounds; count++) {
    for (const system of systems) {
      measured.get(system.name)?.push(await measureRound(harness, system, turns, asked));
    }
  }
  return measured;
}
