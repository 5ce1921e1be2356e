import { z } from 'zod';
import type { Instance } from '../cluster.ts';
import type { Talk } from '../seen-turn.ts';

/** An operation and its variables. */
export interface Operation {
  readonly query: string;
  readonly variables: object;
}

const answer = z.object({ data: z.unknown(), errors: z.array(z.object({ message: z.string() })).default([]) });

/**
 * Sends an operation for the user of a talk.
 * @returns the data of the answer
 * @throws what it was answered with, if that is an error
 */
export async function post({ url }: Instance, talk: Talk | undefined, operation: Operation): Promise<unknown> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${talk?.token}` },
    body: JSON.stringify(operation),
  });
  const { data, errors } = answer.parse(await response.json());
  if (errors.length > 0) throw new Error(errors.map(({ message }) => message).join(' '));
  return data;
}

export const cancelRun = (id: string): Operation => ({
  query: 'mutation ($id: ID!) { cancelRun(id: $id) { status } }',
  variables: { id },
});
