import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openChat, type SocketClient } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { EventStream } from './feed-reader.ts';

const app = shareApp();

const runFields = 'id status queuePosition';
const feedDocument = `subscription ($id: ID!, $after: Int!) { conversationEvents(conversationId: $id, after: $after) {
  __typename seq conversationId ... on RunChanged { run { ${runFields} } edge { cursor node { ${runFields} } } } } }`;
const runsDocument = `query ($id: ID!) { viewer { lastEventSeq } conversation(id: $id) {
  runs { edges { cursor node { ${runFields} } } } } }`;

interface ListedRun {
  readonly cursor: string;
  readonly node: { readonly id: string; readonly status: string; readonly queuePosition: number | null };
}

const readRuns = async (user: SocketClient, id: string): Promise<{ lastSeq: number; runs: ListedRun[] }> => {
  const { viewer, conversation } = await user.ask(runsDocument, { id });
  return { lastSeq: viewer.lastEventSeq, runs: conversation.runs.edges };
};

/** A list of runs as a cache has it: runs by their ids, and edges that only events add. */
class CachedRuns {
  readonly #list: string[] = [];
  readonly #runs = new Map<string, ListedRun['node']>();

  apply(event: object): void {
    const { run, edge } = event as { run?: ListedRun['node']; edge?: ListedRun | null };
    if (run) this.#runs.set(run.id, run);
    if (!edge) return;
    this.#runs.set(edge.node.id, edge.node);
    this.#list.push(JSON.stringify([edge.cursor, edge.node.id]));
  }

  read(): ListedRun[] {
    return this.#list.map((entry) => {
      const [cursor, id] = JSON.parse(entry) as [string, string];
      const node = this.#runs.get(id);
      if (!node) throw new Error('An edge has no run.');
      return { cursor, node };
    });
  }
}

test('A cache that applies RunChanged has each place in the queue, whoever before it is cancelled or begins, and each run once', async () => {
  const chat = await openChat(app);
  const { conversationId } = chat;
  const start = await readRuns(chat, conversationId);
  const variables = { id: conversationId, after: start.lastSeq };
  await using reader = new EventStream(app, chat.token, feedDocument, variables);
  const cache = new CachedRuns();
  /** What the events say up to now, and what the server says: nothing happens in between. */
  const compare = async () => {
    const { lastSeq, runs } = await readRuns(chat, conversationId);
    for (const event of await reader.until(({ seq }) => seq === lastSeq)) cache.apply(event);
    expect(cache.read()).toEqual(runs);
    return runs.map(({ node }) => node.queuePosition);
  };
  const gates = [createGate(), createGate()];
  app.model.add(...gates.map((gate) => ({ text: ['It', ' is shipped.'], afterTokens: 1, gate })));
  const first = chat.say('first');
  await first.untilText('It');
  const waiting = [];
  for (const content of ['second', 'third', 'fourth', 'fifth', 'sixth']) {
    const turn = chat.say(content, { ifBusy: 'ENQUEUE' });
    const queued = await turn.next();
    waiting.push({ turn, id: queued?.runId });
  }
  expect(await compare()).toEqual([null, 1, 2, 3, 4, 5]);
  const cancel = (id: string | undefined) => chat.ask('mutation ($id: ID!) { cancelRun(id: $id) { id } }', { id });
  // In the middle, at the end, and the next to begin.
  await cancel(waiting[1]?.id);
  expect(await compare()).toEqual([null, 1, null, 2, 3, 4]);
  await cancel(waiting[4]?.id);
  expect(await compare()).toEqual([null, 1, null, 2, 3, null]);
  await cancel(waiting[0]?.id);
  expect(await compare()).toEqual([null, null, null, 1, 2, null]);
  // One begins, and waits in its model.
  gates[0]?.open();
  await first.rest();
  await waiting[2]?.turn.untilText('It');
  expect(await compare()).toEqual([null, null, null, null, 1, null]);
  app.model.add({ text: 'The last answer.' });
  gates[1]?.open();
  for (const { turn } of waiting) await turn.rest();
  expect(await compare()).toEqual([null, null, null, null, null, null]);
});

test('A turn with INTERRUPT takes the others out of the queue, and a cache that applies RunChanged has it so', async () => {
  const chat = await openChat(app);
  const { conversationId } = chat;
  const { lastSeq: after } = await readRuns(chat, conversationId);
  app.model.add({ text: ['It', ' is shipped.'], afterTokens: 1, gate: createGate() }, { text: 'The answer.' });
  const first = chat.say('first');
  await first.untilText('It');
  const queued = ['second', 'third'].map((content) => chat.say(content, { ifBusy: 'ENQUEUE' }));
  for (const turn of queued) await turn.next();
  await chat.readToEnd('last', { ifBusy: 'INTERRUPT' });
  const { lastSeq, runs } = await readRuns(chat, conversationId);
  const cache = new CachedRuns();
  await using reader = new EventStream(app, chat.token, feedDocument, { id: conversationId, after });
  for (const event of await reader.until(({ seq }) => seq === lastSeq)) cache.apply(event);
  expect(cache.read()).toEqual(runs);
  expect(runs.map(({ node }) => node.queuePosition)).toEqual([null, null, null, null]);
});
