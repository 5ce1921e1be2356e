import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, validate } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VoiceCall } from '../../examples/voice-call.ts';
import { schema } from '../../src/boot/schema.ts';
import { followConversation } from '../conversations/feed-reader.ts';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';
import { readConversation, startSession } from './support.ts';

let graph: Graph;
let alice: TestViewer;

beforeAll(async () => {
  graph = await openGraph();
  alice = await graph.viewer('alice');
});
afterAll(() => graph[Symbol.asyncDispose]());

const root = join(import.meta.dirname, '../..');

/** The call of a browser, whose provider is this test. */
async function openCall(options: { readonly approves?: boolean } = {}) {
  const session = await startSession(graph, alice);
  const sent: ReturnType<typeof JSON.parse>[] = [];
  const call = new VoiceCall({
    ask: async (document, variables) => {
      const { data, errors } = await graph.query(alice, document, { ...variables });
      if (errors.length > 0) throw new Error(JSON.stringify(errors));
      return data;
    },
    send: (event) => sent.push(JSON.parse(JSON.stringify(event))),
    sessionId: session.id,
    agents: session.initialAgents,
    approve: async () => options.approves ?? true,
  });
  const added = (id: string) => call.take({ type: 'conversation.item.added', item: { id } });
  const heard = (item_id: string, transcript: string) =>
    call.take({ type: 'conversation.item.input_audio_transcription.completed', item_id, transcript });
  const said = (item_id: string, transcript: string) =>
    call.take({ type: 'response.output_audio_transcript.done', item_id, transcript });
  const calls = (name: string, args: object) =>
    call.take({
      type: 'response.function_call_arguments.done',
      name,
      call_id: `call_${name}`,
      arguments: JSON.stringify(args),
    });
  return { session, call, sent, added, heard, said, calls };
}

describe('examples/voice-call.ts', () => {
  test('A call is recorded in the order in which it was spoken, uses a tool, and ends in a spoken handoff.', async () => {
    const { session, call, sent, added, heard, said, calls } = await openCall();
    const { id, lastEventSeq } = session.conversation;
    await using events = followConversation(graph.app, alice.token, id, lastEventSeq);
    await added('i1');
    await added('i2');
    // What the user said is written down after the agent has answered.
    await said('i2', 'I look that up.');
    await new Promise((resolve) => setTimeout(resolve, 5));
    await heard('i1', 'What time is it, and who handles my bill?');
    await calls('current_time', {});
    expect(sent.at(-2).item).toMatchObject({ type: 'function_call_output', call_id: 'call_current_time' });
    expect(JSON.parse(sent.at(-2).item.output)).toMatchObject({ ok: true, result: { timeZone: 'UTC' } });
    expect(sent.at(-1)).toEqual({ type: 'response.create' });
    await calls('transfer_to_billing', {});
    expect(call.activeAgent).toBe('billing');
    const update = sent.find(({ type }) => type === 'session.update').session;
    const billing = session.initialAgents.find(({ name }: { name: string }) => name === 'billing');
    expect(update).toMatchObject({ type: 'realtime', instructions: billing.instructions });
    const names = update.tools.map(({ name }: { name: string }) => name);
    expect(names).toEqual(expect.arrayContaining(['refund_order', 'transfer_to_orders', 'transfer_to_supervisor']));
    await added('i3');
    await said('i3', 'Billing here.');
    await call.flush();
    const { messages, activeAgent } = await readConversation(graph, alice, id);
    expect(messages.map(({ content, agent }) => [content, agent?.name ?? null])).toEqual([
      ['What time is it, and who handles my bill?', null],
      ['I look that up.', 'supervisor'],
      ['Billing here.', 'billing'],
    ]);
    expect(activeAgent.name).toBe('billing');
    const isSwitch = ({ __typename }: { __typename: string }) => __typename === 'AgentSwitched';
    expect((await events.until(isSwitch)).at(-1)).toMatchObject({ toAgent: { name: 'billing' } });
  });

  test('A tool that needs an approval is not called if the user denies it, and wrong arguments are an output.', async () => {
    const { sent, call, calls } = await openCall({ approves: false });
    call.switchTo('billing');
    await calls('refund_order', { orderNumber: '1046' });
    expect(JSON.parse(sent.at(-2).item.output)).toEqual({ ok: false, error: 'The user has denied the call.' });
    await calls('lookup_order', { orderNumber: 'none' });
    expect(JSON.parse(sent.at(-2).item.output)).toMatchObject({ ok: false, error: expect.stringContaining('digits') });
    const order = await graph.db.order.findFirst({ where: { number: '1046' } });
    expect(order?.status).not.toBe('refunded');
  });
});

describe('docs/realtime.md', () => {
  test('Its documents, and those of the example, fit the schema.', async () => {
    const page = await readFile(join(root, 'docs/realtime.md'), 'utf8');
    const example = await readFile(join(root, 'examples/voice-call.ts'), 'utf8');
    const documents = [
      ...[...page.matchAll(/```graphql\n([\s\S]*?)```/g)].map(([, document = '']) => document),
      ...[page, example].flatMap((text) =>
        [...text.matchAll(/`((?:mutation|subscription) [\s\S]*?)`/g)].map(([, document = '']) => document),
      ),
    ];
    expect(documents.length).toBeGreaterThanOrEqual(4);
    for (const document of documents) expect(validate(schema, parse(document)), document).toEqual([]);
  });
});
