import { setTimeout as sleep } from 'node:timers/promises';
import { type Attack, makeAs } from './attack.ts';
import { makeAgent } from './attacks-with-token.ts';
import { askingModel } from './flooding-provider.ts';

/** How many runs wait at the same time, each with a stream. */
const runs = 36;

/** Streams of runs that write megabytes and then wait for a person, who never decides: half of them read, half do not. */
export const leaveRunsWaiting: Attack = async (target, signal, count) => {
  const agentId = await makeAgent(target, 3, askingModel, signal, ['refund_order']);
  const query =
    'subscription ($input: ChatTurnInput!) { chatTurn(input: $input) { __typename ... on TextDelta { delta } } }';
  const follow = async (isReading: boolean) => {
    const conversationId = await makeAs(
      target,
      3,
      'createConversation',
      'CreateConversationInput',
      { agentId },
      signal,
    );
    const input = { conversationId, content: 'Go', idempotencyKey: crypto.randomUUID() };
    const response = await fetch(`${target.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${target.tokens[3]}`,
      },
      body: JSON.stringify({ query, variables: { input } }),
      signal,
    });
    if (!response.ok || !response.body) return count('refused');
    let end = '';
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      end = end.slice(-200) + chunk;
      if (end.includes('ApprovalRequested')) count('waiting');
      if (end.includes('RATE_LIMITED')) return count('refused');
      if (!isReading) await sleep(10_000, undefined, { signal });
      end = end.slice(-200).replace('ApprovalRequested', '');
    }
    count('ended');
  };
  await Promise.all(
    Array.from({ length: runs }, async (_none, index) => {
      while (!signal.aborted) {
        await follow(index % 2 === 0).catch(() => {});
        await sleep(2_000);
      }
    }),
  );
};
