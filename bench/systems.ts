import { z } from 'zod';
import type { Harness } from './harness.ts';
import { listening } from './listen.ts';
import { probe } from './probe-arguments.ts';
import { cpu, memory } from './probe-figures.ts';
import { Child } from './rpc.ts';
import { type DatabaseKind, startSwitchboard } from './switchboard.ts';
import type { Slot } from './turn-client.ts';

/** A server under test, in a process of its own. */
export interface System extends AsyncDisposable {
  readonly name: string;
  readonly child: Child;
  /** CPU seconds that a PostgreSQL server on this machine has used for it; 0 if it needs none. */
  readDatabaseCpu(): number;
  /** Makes ready for so many turns at once: nothing of this is measured. */
  prepareSlots(turns: number): Promise<Slot[]>;
}

type Baseline = 'limit' | 'agents-sdk' | 'day-one';
export type SystemName = Baseline | DatabaseKind;

const protocols = { limit: 'plain', 'agents-sdk': 'sse', 'day-one': 'graphql' } as const;

/** Starts one of the baselines. */
async function startBaseline(name: Baseline, harness: Harness): Promise<System> {
  const child = new Child(name, new URL(`./${name}.ts`, import.meta.url), {
    env: { OPENAI_BASE_URL: harness.endpointUrl },
    execArgv: probe,
  });
  const address = new URL(await child.waitForOutput(listening));
  if (name !== 'agents-sdk') address.protocol = 'ws:';
  if (name === 'day-one') address.pathname = '/graphql';
  const slot: Slot = {
    protocol: protocols[name],
    url: address.href,
    token: 'none',
    conversationId: 'none',
  };
  return {
    name,
    child,
    readDatabaseCpu: () => 0,
    prepareSlots: async (turns) => Array.from({ length: turns }, () => slot),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

/** Starts a system that the bench measures. */
export function startSystem(name: SystemName, harness: Harness): Promise<System> {
  return name === 'embedded' || name === 'postgresql'
    ? startSwitchboard(name, harness, { probe })
    : startBaseline(name, harness);
}

/** CPU seconds that a system has used since it was started. */
export function readCpu({ child }: Pick<System, 'child'>): Promise<z.infer<typeof cpu>> {
  return child.call('cpu', null, cpu);
}

/** Memory of a system after a garbage collection, in bytes. */
export function readMemory({ child }: System): Promise<z.infer<typeof memory>> {
  return child.call('memory', null, memory);
}

/** What a system has sent to its database since the last time. The first call begins to watch. */
export function takeStatements({ child }: Pick<System, 'child'>): Promise<string[]> {
  return child.call('statements', null, z.array(z.string()));
}
