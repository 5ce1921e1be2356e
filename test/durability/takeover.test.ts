import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decide } from '../approvals/decide.ts';
import { documents, openSocketClient } from '../support/chat.ts';
import type { TurnEvent } from '../support/clients/turn-reader.ts';
import { createTestDatabase, createTestDataFolder } from '../support/database/database.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';
import { findFaults } from './find-faults.ts';
import { openTools, plays, type ReceivedCall, type Setting } from './killed-turns.ts';

/** Processes start and end in these tests, and leases run out. */
const room = 240_000;

/** A turn whose process was killed, and what its reader had seen of it. */
interface KilledTurn {
  readonly runId: string;
  readonly seen: readonly TurnEvent[];
  /** The run that waited behind it. */
  readonly nextId: string | null;
}
type Scene = keyof typeof plays;

/** Plays all turns on one server and kills it. @returns them, and a client of the server that goes on with them */
async function playAndKill(hasOther: boolean) {
  await using opening = new AsyncDisposableStack();
  const { folder } = opening.use(await createTestDataFolder());
  const model = opening.use(await createScriptedModel());
  const tools = opening.use(await openTools(folder));
  const database = hasOther ? opening.use(await createTestDatabase()) : null;
  const env = {
    ...{ OPENAI_BASE_URL: model.url, MODEL: 'test-model', TOOLS_FILE: tools.path },
    ...(database ? { DATABASE_URL: database.url } : {}),
  };
  const first = opening.use(await startServer(folder, env));
  const other = hasOther ? opening.use(await startServer(folder, env)) : null;
  const alice = await openSocketClient(first, 'alice');
  const setting: Setting = { model, tools, alice };
  const playing = Object.entries(plays).map(async ([scene, play]) => {
    const { reader, nextId } = await play(setting, scene);
    return [scene, { reader, nextId }] as const;
  });
  const played = await Promise.all(playing);
  await first.end('SIGKILL');
  const killed = new Map<string, KilledTurn>();
  for (const [scene, { reader, nextId }] of played) {
    const seen = await reader.rest().catch(() => reader.events);
    killed.set(scene, { runId: seen[0]?.runId ?? '', seen, nextId });
  }
  const second = other ?? opening.use(await startServer(folder, env));
  const bob = await openSocketClient(second, 'alice');
  const opened = opening.move();
  return { bob, killed, tools, database, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
type Killed = Awaited<ReturnType<typeof playAndKill>>;

/**
 * What has to hold of a turn that was taken over, for whoever attaches, wherever: the rest of the stream, one end, and the
 * text that is stored.
 */
async function readTakenOver({ killed, bob, tools }: Killed, scene: Scene) {
  const { runId, seen } = killed.get(scene) ?? { runId: '', seen: [] };
  const live = bob.runEvents('ws', runId, seen.at(-1)?.seq).rest();
  const rest = await live;
  const { run } = await bob.ask(documents.run, { id: runId });
  const stride = Math.ceil(seen.length / 8);
  const places = [0, ...seen.flatMap(({ seq }, index) => (index % stride === 0 ? seq : []))];
  const readers = [[...seen, ...rest]];
  for (const [index, after] of places.entries()) {
    const later = await bob.runEvents(index % 2 ? 'ws' : 'sse', runId, after).rest();
    expect(later.every(({ seq }) => seq > after)).toBe(true);
    readers.push([...seen.filter(({ seq }) => seq <= after), ...later]);
  }
  const own = tools.received.filter(({ key }) => key.startsWith(`${runId}:`));
  for (const events of readers)
    expect(findFaults({ run, readers: [events], received: calledOnce(run, own) })).toEqual([]);
  return { run, rest, own };
}

/** The calls that the tools have received, each once; the built-in tools have no log. */
function calledOnce(
  run: { readonly toolCalls: readonly { callId: string; status: string; name: string }[] },
  own: readonly ReceivedCall[],
) {
  const keys = new Set(own.map(({ key }) => key.slice(key.indexOf(':') + 1)));
  const builtIn = run.toolCalls.filter(({ name, status }) => /_order$/.test(name) && status === 'SUCCEEDED');
  return [...keys, ...builtIn.map(({ callId }) => callId)];
}

const branchesDocument = `query ($id: ID!) { run(id: $id) { conversation {
  messages { edges { node { content } } } all: messages(allBranches: true) { edges { node { content } } }
} } }`;

const statuses = (run: { readonly toolCalls: readonly { callId: string; status: string }[] }) =>
  run.toolCalls.map(({ callId, status }) => [callId, status]);

describe.each([
  ['the same server, started again', false],
  ['another instance', true],
] as const)('After kill -9, by %s', (_, hasOther) => {
  let crash: Killed;
  beforeAll(async () => {
    crash = await playAndKill(hasOther);
  }, room);
  afterAll(() => crash?.[Symbol.asyncDispose]());
  const takenOver = (scene: Scene) => readTakenOver(crash, scene);

  test('A turn is answered that had no token yet', { timeout: room }, async () => {
    const { run } = await takenOver('before its first token');
    expect(run).toMatchObject({ status: 'COMPLETED', resumedCount: 1, messages: [{ content: 'Hello.' }] });
  });

  test('A classifier that was asked is asked again, if its decision was not stored', { timeout: room }, async () => {
    const { run, rest } = await takenOver('while a classifier chooses its agent');
    expect(run).toMatchObject({ status: 'COMPLETED', agent: { name: 'billing' }, messages: [{ content: 'Money.' }] });
    expect(rest.filter(({ __typename }) => __typename === 'RoutingDecided')).toHaveLength(1);
  });

  test('A decision that was stored stands: nobody is asked again', { timeout: room }, async () => {
    const { run, rest } = await takenOver('after a classifier has chosen its agent');
    expect(run).toMatchObject({
      status: 'COMPLETED',
      agent: { name: 'billing' },
      routingDecision: { confidence: 0.9 },
    });
    expect(run.messages).toMatchObject([{ content: 'Money again.', agent: { name: 'billing' } }]);
    // Readers are told it again, with a seq that the dead process has not used.
    expect(rest.find(({ __typename }) => __typename === 'RoutingDecided')?.decision).toMatchObject({
      rootAgent: { name: 'billing' },
    });
  });

  test('A text that was interrupted is taken back, and written again under its id', { timeout: room }, async () => {
    const { run, rest } = await takenOver('in the middle of a text');
    expect(run).toMatchObject({ status: 'COMPLETED', messages: [{ content: 'Another answer.', status: 'COMPLETE' }] });
    const told = rest.filter(({ messageId }) => messageId === run.messages[0].id).map(({ __typename }) => __typename);
    expect(told.slice(0, 3)).toEqual(['MessageStarted', 'TextRetracted', 'TextDelta']);
  });

  test('A turn of an edited message, and one that answers again, go on in their branch', {
    timeout: room,
  }, async () => {
    for (const scene of ['in the branch of an edited message', 'while an answer is made again'] as const) {
      const { run } = await takenOver(scene);
      expect(run).toMatchObject({ status: 'COMPLETED', resumedCount: 1, messages: [{ content: 'In its branch.' }] });
      const { run: read } = await crash.bob.ask(branchesDocument, { id: run.id });
      const [shown, all] = [read.conversation.messages, read.conversation.all].map(({ edges }) =>
        edges.map(({ node }: { node: { content: string } }) => node.content),
      );
      expect(shown).toEqual([scene, 'In its branch.']);
      const isEdited = scene === 'in the branch of an edited message';
      const before = isEdited ? [`${scene} before`, 'Before.'] : [scene, 'Before.'];
      expect(all).toEqual([...before, ...(isEdited ? shown : ['In its branch.'])]);
    }
  });

  test('Finished steps stay as they are', { timeout: room }, async () => {
    const { run } = await takenOver('between two steps');
    expect(run.messages.map(({ content }: { content: string }) => content)).toEqual(['I look.', 'It is shipped.']);
    expect(statuses(run)).toEqual([['look', 'SUCCEEDED']]);
  });

  test('A call that was under way is UNKNOWN, and the model goes on with that', { timeout: room }, async () => {
    const { run, own } = await takenOver('during a call that must not be made twice');
    expect(run).toMatchObject({
      status: 'COMPLETED',
      messages: [{ content: 'I book.' }, { content: 'It may be booked.' }],
    });
    expect(statuses(run)).toEqual([
      ['book', 'UNKNOWN'],
      ['look', 'SUCCEEDED'],
    ]);
    expect(own).toHaveLength(1);
  });

  test('A call of an idempotent tool is made again with the same key', { timeout: room }, async () => {
    const { run, own } = await takenOver('during a call that may be made twice');
    expect(run).toMatchObject({ status: 'COMPLETED', messages: [{ content: 'Noted.' }] });
    expect(statuses(run)).toEqual([['note', 'SUCCEEDED']]);
    expect(own.map(({ epoch }) => epoch)).toEqual(['1', '2']);
    expect(new Set(own.map(({ key }) => key)).size).toBe(1);
  });

  test('An approved call is made again with the arguments that were approved', { timeout: room }, async () => {
    const { run, own } = await takenOver('during a call that a person has approved and changed');
    expect(run).toMatchObject({ status: 'COMPLETED', messages: [{ content: 'I pay.' }, { content: 'Paid.' }] });
    expect(own.map(({ body }) => body)).toEqual(['{"what":"little"}', '{"what":"little"}']);
  });

  test('A handoff stays, and the agent that took over answers', { timeout: room }, async () => {
    const { run } = await takenOver('after a handoff');
    expect(run).toMatchObject({
      status: 'COMPLETED',
      agent: { name: 'orders' },
      handoffs: [{ toAgent: { name: 'orders' } }],
    });
    expect(run.messages.map(({ content }: { content: string }) => content)).toEqual(['One moment.', 'It is shipped.']);
  });

  test('A turn that waits for a person goes on when that person has decided', { timeout: room }, async () => {
    const { runId } = crash.killed.get('while it waits for a person') ?? { runId: '' };
    await decide(crash.bob, runId, 'refund');
    const { run } = await takenOver('while it waits for a person');
    expect(run).toMatchObject({ status: 'COMPLETED', resumedCount: 0, messages: [{ content: 'Refunded.' }] });
  });

  test('The turns behind it follow in their order', { timeout: room }, async () => {
    const { run } = await takenOver('with a turn behind it');
    expect(run).toMatchObject({ status: 'COMPLETED', messages: [{ content: 'First.' }] });
    const { nextId } = crash.killed.get('with a turn behind it') ?? {};
    expect((await crash.bob.runEvents('ws', nextId ?? '').rest()).at(-1)?.__typename).toBe('RunCompleted');
  });
});
