import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Instance } from '../cluster.ts';
import type { Talk } from '../seen-turn.ts';

const answer = z.object({
  data: z.object({ conversation: z.object({ activeRun: z.object({ id: z.string() }).nullable() }) }),
});
const query = 'query ($id: ID!) { conversation(id: $id) { activeRun { id } } }';

/** The run that a conversation is busy with: waits until there is one. */
export async function findRun({ url }: Instance, { token, conversationId }: Talk): Promise<string> {
  for (;;) {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query, variables: { id: conversationId } }),
    });
    const { activeRun } = answer.parse(await response.json()).data.conversation;
    if (activeRun) return activeRun.id;
    await sleep(50);
  }
}
