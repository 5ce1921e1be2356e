import type { Agent } from '../generated/prisma/client.ts';
import type { Context } from './context.ts';

/** An agent that a row refers to: rows of agents are never deleted. Many rows refer to the same, which is read once. */
export async function loadExistingAgent({ agents }: Pick<Context, 'agents'>, id: string): Promise<Agent> {
  const agent = await agents.load(id);
  if (agent === null) throw new Error(`Agent ${id} is referred to, but does not exist.`);
  return agent;
}
