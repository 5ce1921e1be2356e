import { z } from 'zod';
import type { ProviderState } from '../engine/ports.ts';
import { cleanJson } from '../engine/tool-result.ts';
import type { Prisma } from '../generated/prisma/client.ts';

/** Characters of a step's provider state that are stored. What is longer only lives as long as its turn. */
const maxStateLength = 65_536;

const storedState = z.object({ agentId: z.string(), endpoint: z.string(), data: z.json() });

/** The column for what a provider wants back with the calls of a step; null: it is too long to be stored. */
export function writeProviderState(state: ProviderState): Prisma.InputJsonValue | null {
  const json = JSON.stringify(state);
  return json.length > maxStateLength ? null : storedState.parse(cleanJson(json));
}

/** The state out of its column; null: there is none. */
export function readProviderState(column: unknown): ProviderState | null {
  return storedState.safeParse(column).data ?? null;
}
