import { z } from 'zod';
import type { Lab } from './lab.ts';
import { listening } from './listen.ts';
import { probe } from './probe-arguments.ts';
import { cpu, memory } from './probe-figures.ts';
import { Child } from './rpc.ts';
import { type DatabaseKind, startSwitchboard } from './switchboard.ts';
import type { Seat } from './turn-client.ts';

/** A server under test, in a process of its own. */
export interface Contestant extends AsyncDisposable {
  readonly name: string;
  readonly child: Child;
  /** Makes ready for so many turns at once: nothing of this is measured. */
  prepareSeats(turns: number): Promise<Seat[]>;
}

export type ContestantName = 'limit' | 'day-one' | DatabaseKind;

/** Starts one of the baselines. */
async function startBaseline(name: 'limit' | 'day-one', lab: Lab): Promise<Contestant> {
  const child = new Child(name, new URL(`./${name}.ts`, import.meta.url), {
    env: { OPENAI_BASE_URL: lab.endpointUrl },
    execArgv: probe,
  });
  const address = new URL(await child.waitForOutput(listening));
  address.protocol = 'ws:';
  if (name === 'day-one') address.pathname = '/graphql';
  const seat: Seat = {
    protocol: name === 'limit' ? 'plain' : 'graphql',
    url: address.href,
    token: 'none',
    conversationId: 'none',
  };
  return {
    name,
    child,
    prepareSeats: async (turns) => Array.from({ length: turns }, () => seat),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

/** Starts a contestant. */
export function startContestant(name: ContestantName, lab: Lab): Promise<Contestant> {
  return name === 'limit' || name === 'day-one' ? startBaseline(name, lab) : startSwitchboard(name, lab, { probe });
}

/** CPU seconds that a contestant has used since it was started. */
export function readCpu({ child }: Contestant): Promise<z.infer<typeof cpu>> {
  return child.call('cpu', null, cpu);
}

/** Memory of a contestant after a garbage collection, in bytes. */
export function readMemory({ child }: Contestant): Promise<z.infer<typeof memory>> {
  return child.call('memory', null, memory);
}

/** What a contestant has sent to its database since the last time. The first call begins to watch. */
export function takeStatements({ child }: Contestant): Promise<string[]> {
  return child.call('statements', null, z.array(z.string()));
}
