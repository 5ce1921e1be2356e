import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Ask } from './answer.ts';
import { type Contestant, type ContestantName, readCpu, startContestant } from './contestants.ts';
import { listening } from './listen.ts';
import { round } from './round.ts';
import { Child } from './rpc.ts';
import type { DatabaseKind } from './switchboard.ts';

/** What the scenarios share: the fake endpoint, the load client, and how they were asked to run. */
export interface Lab extends AsyncDisposable {
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

export type Scenario = (lab: Lab) => Promise<Report>;

/** Starts the endpoint and the load client. */
export async function openLab(options: {
  readonly quick: boolean;
  readonly databaseUrl: string | null;
  readonly profileDir: string | null;
  readonly settings: Readonly<Record<string, string>>;
}): Promise<Lab> {
  await using opening = new AsyncDisposableStack();
  const endpoint = opening.use(new Child('endpoint', new URL('./endpoint.ts', import.meta.url)));
  const load = opening.use(new Child('load', new URL('./load.ts', import.meta.url)));
  const endpointUrl = `${await endpoint.waitForOutput(listening)}/v1`;
  const opened = opening.move();
  const { quick, databaseUrl, profileDir, settings } = options;
  return {
    endpointUrl,
    load,
    quick,
    databaseUrl,
    settings,
    databases: databaseUrl === null ? ['embedded'] : ['embedded', 'postgresql'],
    profileArguments: profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`],
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Starts contestants one after another; they live at the same time, and are measured in turns. */
export async function startContestants(
  lab: Lab,
  names: readonly ContestantName[],
  stack: AsyncDisposableStack,
): Promise<Contestant[]> {
  const contestants: Contestant[] = [];
  for (const name of names) contestants.push(stack.use(await startContestant(name, lab)));
  return contestants;
}

/** A round of turns, and the CPU seconds that it took the server. */
export type MeasuredRound = z.infer<typeof round> & { readonly cpuSeconds: number; readonly mainThreadSeconds: number };

/** How long a server may go on with a round after its clients have seen the end of it. */
const afterwardsMs = 300;

/** Has a contestant run so many turns at once; CPU is counted from before the first to after the last. */
export async function measureRound(
  lab: Lab,
  contestant: Contestant,
  turns: number,
  asked: Ask,
): Promise<MeasuredRound> {
  await lab.load.call('connect', await contestant.prepareSeats(turns), z.int());
  await sleep(afterwardsMs);
  const before = await readCpu(contestant);
  const seen = await lab.load.call('run', asked, round).catch((cause: unknown) => {
    const problems = contestant.child.output.split('\n').filter((line) => /^\{"level":[56]/.test(line));
    throw new Error(`${contestant.name} did not deliver.\n${problems.slice(-3).join('\n')}`, { cause });
  });
  await sleep(afterwardsMs);
  const after = await readCpu(contestant);
  return {
    ...seen,
    cpuSeconds: after.process - before.process,
    mainThreadSeconds: after.mainThread - before.mainThread,
  };
}

/** Measures rounds of all contestants in turns (A B C A B C), after a warm-up of each. */
export async function interleave(
  lab: Lab,
  contestants: readonly Contestant[],
  rounds: number,
  turns: number,
  asked: Ask,
): Promise<Map<string, MeasuredRound[]>> {
  const measured = new Map<string, MeasuredRound[]>(contestants.map(({ name }) => [name, []]));
  const warmUp = { ...asked, tokens: Math.ceil(asked.tokens / 4) };
  for (const contestant of contestants) await measureRound(lab, contestant, turns, warmUp);
  for (let count = 0; count < rounds; count++) {
    for (const contestant of contestants) {
      measured.get(contestant.name)?.push(await measureRound(lab, contestant, turns, asked));
    }
  }
  return measured;
}
