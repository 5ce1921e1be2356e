import {
  type GraphQLObjectType,
  getNamedType,
  isInterfaceType,
  isLeafType,
  isObjectType,
  isRequiredArgument,
  parse,
} from 'graphql';
import { describe, expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';
import { AnswerBytes } from '../../src/limits/answer-bytes.ts';
import { subscribe } from '../../src/server/plugins/fast-subscribe.ts';
import { decide, refund } from '../approvals/decide.ts';
import { shareApp } from '../support/app.ts';
import { openChat, type SocketClient } from '../support/chat.ts';
import { makeTestContext } from '../support/context.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const app = shareApp();

/** A selection of everything that a type has, to a depth; connections with a page of one. */
function selectAll(type: GraphQLObjectType, depth: number): string {
  const fields = Object.values(type.getFields()).flatMap((field) => {
    if (field.args.some(isRequiredArgument)) return [];
    const named = getNamedType(field.type);
    // Fields of the same name have other types on other events.
    const name = `${type.name}_${field.name}: ${field.name}`;
    if (isLeafType(named)) return [name];
    if (depth === 0 || !isObjectType(named)) return [];
    return [`${name} { ${selectAll(named, depth - 1)} }`];
  });
  return ['__typename', ...fields].join(' ');
}

const runEvent = schema.getType('RunEvent');
if (!isInterfaceType(runEvent)) throw new Error('RunEvent is no interface.');
const eventTypes = schema.getImplementations(runEvent).objects;
const everything = parse(`subscription ($id: ID!) { runEvents(runId: $id) {
  __typename ${eventTypes.map((type) => `... on ${type.name} { ${selectAll(type, 4)} }`).join('\n')}
} }`);

const unlimited = Number.MAX_SAFE_INTEGER;
const answers = new AnswerBytes(
  { operation: unlimited, user: unlimited, tenant: unlimited, process: unlimited },
  () => {},
);

/** Subscribes with everything selected, past the limits of documents, which are for clients. */
async function follow(runId: string, { db = app.app.db, document = everything } = {}) {
  const { tenantId, userId } = await db.run.findUniqueOrThrow({ where: { id: rowOf(runId) } });
  const contextValue = makeTestContext(app.app, { userId, tenantId }, { db, answers });
  const stream = await subscribe({ schema, document, variableValues: { id: runId }, contextValue });
  if (!(Symbol.asyncIterator in stream)) throw new Error(JSON.stringify(stream));
  return stream;
}

/** Reads a stream to its end: each event has to come whole. @returns the names of the events */
async function drain(stream: Awaited<ReturnType<typeof follow>>): Promise<string[]> {
  const names: string[] = [];
  for await (const { data, errors } of stream) {
    expect(errors).toBeUndefined();
    names.push(String(Object(data?.runEvents).__typename));
  }
  return names;
}

const rowOf = (id: string) => id.slice(id.indexOf('_') + 1);

/** A turn that has all that a turn can have. @returns the id of its run */
async function runEverything(client: SocketClient, conversationId: string): Promise<string> {
  app.model.add(
    { reasoning: ['Money', ' matters.'], calls: [{ name: 'transfer_to_billing', arguments: { reason: 'money' } }] },
    { text: ['I re', 'fund'], misbehave: 'truncate' },
    { text: 'I refund it.', calls: [refund('call_0', '404')] },
  );
  const reader = client.chatTurn('ws', { conversationId, content: 'Refund 404' });
  const { runId } = await reader.until('ApprovalRequested');
  app.model.add({ text: 'Done.' });
  await decide(client, runId, 'call_0');
  await reader.rest();
  return runId;
}

const all = [
  'RunStarted',
  'RoutingDecided',
  'ReasoningDelta',
  'HandoffOccurred',
  'MessageStarted',
  'TextDelta',
  'TextRetracted',
  'TextDelta',
  'MessageCompleted',
  'ApprovalRequested',
  'ToolCallStarted',
  'ToolCallCompleted',
  'MessageStarted',
  'TextDelta',
  'MessageCompleted',
  'RunCompleted',
];

describe('an event, with everything selected that can be', () => {
  test.each(['nothing', 'the conversation', 'the messages', 'the tool calls', 'the handoffs'])(
    'Every event of a run is delivered whole after its reader attached and somebody deleted %s',
    async (what) => {
      const chat = await openChat(app, 'support');
      const runId = await runEverything(chat, chat.conversationId);
      const stream = await follow(runId);
      const { db } = app.app;
      const where = { runId: rowOf(runId) };
      if (what === 'the conversation') await db.conversation.delete({ where: { id: rowOf(chat.conversationId) } });
      if (what === 'the messages') await db.message.deleteMany({ where });
      if (what === 'the tool calls') await db.toolCall.deleteMany({ where });
      if (what === 'the handoffs') await db.handoff.deleteMany({ where });
      expect(await drain(stream)).toEqual(all);
    },
  );

  test('MessageCompleted is delivered whole if its message is deleted after it was measured and before it is read', async () => {
    const chat = await openChat(app, 'support');
    const runId = await runEverything(chat, chat.conversationId);
    const { db } = app.app;
    let deleted = 0;
    // Calls are selected, so messages are measured first.
    const document = parse(`subscription ($id: ID!) { runEvents(runId: $id) {
      __typename ... on MessageCompleted { message { id content toolCalls { id } } } } }`);
    const message = new Proxy(db.message, {
      get(target, key) {
        if (key !== 'findMany') return Reflect.get(target, key);
        return async (args: Parameters<typeof target.findMany>[0]) => {
          deleted += (await target.deleteMany({ where: { runId: rowOf(runId) } })).count;
          return target.findMany(args);
        };
      },
    });
    const deleting = new Proxy(db, { get: (target, key) => (key === 'message' ? message : Reflect.get(target, key)) });
    expect(await drain(await follow(runId, { db: deleting, document }))).toEqual(all);
    expect(deleted).toBe(2);
  });

  test('Every event is delivered whole if its agent was deleted with the conversation', async () => {
    const chat = await openChat(app, 'assistant');
    const guardrails = [{ name: 'mail', stages: ['OUTPUT'], check: { pii: ['EMAIL'] }, action: 'REDACT' }];
    const agentId = await chat.createAgent({ guardrails });
    const conversationId = await chat.createConversation({ agentId });
    app.model.add({ text: 'Yes, bob@example.com.' });
    const [first] = await chat.chatTurn('ws', { conversationId }).rest();
    const stream = await follow(first?.runId ?? '');
    await app.app.db.conversation.delete({ where: { id: rowOf(conversationId) } });
    await app.app.db.agent.delete({ where: { id: rowOf(agentId) } });
    expect(await drain(stream)).toEqual([
      'RunStarted',
      'RoutingDecided',
      'MessageStarted',
      'TextDelta',
      'GuardrailTripped',
      'MessageCompleted',
      'RunCompleted',
    ]);
  });

  test('Failed runs, and runs that were cancelled in the queue, are reported whole after their conversation was deleted', async () => {
    const chat = await openChat(app, 'assistant');
    const gate = createGate();
    app.model.add({ text: ['So', ' far'], afterTokens: 1, gate, misbehave: 'truncate' });
    const first = chat.say('first');
    await first.untilText('So');
    const second = chat.say('second', { ifBusy: 'ENQUEUE' });
    const queued = await second.next();
    await chat.ask('mutation ($id: ID!) { cancelRun(id: $id) { id } }', { id: queued?.runId });
    app.model.add({ misbehave: { status: 400 } });
    gate.open();
    const failed = await first.rest();
    expect(failed.at(-1)?.__typename).toBe('RunFailed');
    await second.rest();
    const streams = [await follow(failed[0]?.runId ?? ''), await follow(queued?.runId ?? '')];
    await chat.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: chat.conversationId });
    const [ofFailed, ofQueued] = [await drain(streams[0] ?? raise()), await drain(streams[1] ?? raise())];
    expect(ofFailed.at(-1)).toBe('RunFailed');
    expect(ofQueued).toEqual(['RunQueued', 'RunCancelled']);
  });

  test('A message that joined a run is delivered whole after it was deleted', async () => {
    const chat = await openChat(app);
    const gate = createGate();
    app.model.add(
      { text: ['Let me', ' look.'], afterTokens: 1, gate, calls: [{ name: 'current_time', arguments: {} }] },
      { text: 'That it is.' },
    );
    const first = chat.say('first');
    await first.untilText('Let me');
    const steered = chat.say('rather that', { ifBusy: 'STEER' });
    const following = steered.rest();
    const where = { conversationId: rowOf(chat.conversationId) };
    await expect.poll(() => app.app.db.run.count({ where: { ...where, status: 'QUEUED' } })).toBe(1);
    gate.open();
    expect((await following).at(-1)?.__typename).toBe('RunCompleted');
    const stream = await follow((await first.rest())[0]?.runId ?? '');
    await app.app.db.message.deleteMany({ where });
    expect(await drain(stream)).toContain('MessageSteered');
  });

  test('The tests above deliver every type of event', () => {
    const seen = new Set([...all, 'MessageSteered', 'GuardrailTripped', 'RunQueued', 'RunCancelled', 'RunFailed']);
    expect(eventTypes.map(({ name }) => name).filter((name) => !seen.has(name))).toEqual([]);
  });
});

function raise(): never {
  throw new Error('There is no stream.');
}
