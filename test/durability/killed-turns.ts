import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBillingConversation, decide, refund } from '../approvals/decide.ts';
import { documents, type SocketClient } from '../support/chat.ts';
import type { TurnReader } from '../support/clients/turn-reader.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import type { ScriptedModel, TestStep } from '../support/scripted-model/script.ts';

/** What a tool has received. */
export interface ReceivedCall {
  readonly path: string;
  readonly key: string;
  readonly epoch: string;
  readonly body: string;
}

/** A server of HTTP tools: it never answers the first call with a key, and it answers the next ones. */
export async function openTools(folder: string) {
  const received: ReceivedCall[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const { 'idempotency-key': key = '', 'x-switchboard-run-epoch': epoch = '' } = request.headers;
      received.push({ path: request.url ?? '', key: String(key), epoch: String(epoch), body });
      if (received.filter((call) => call.key === String(key)).length === 1) return;
      response.setHeader('content-type', 'application/json').end('{"ok":true}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const tool = (name: string, more: object) => ({
    ...{ name, description: name, method: 'POST', url: `http://127.0.0.1:${port}/${name}`, timeoutMs: 120_000 },
    parameters: { type: 'object', properties: { what: { type: 'string' } } },
    ...more,
  });
  const tools = [
    tool('book', {}),
    tool('note', { isIdempotent: true }),
    tool('pay', { isIdempotent: true, requiresApproval: true }),
  ];
  const path = join(folder, 'tools.json');
  await writeFile(path, JSON.stringify({ version: 1, httpTools: tools }));
  return {
    path,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What the turns are carried out with. */
export interface Setting {
  readonly model: ScriptedModel;
  readonly tools: Awaited<ReturnType<typeof openTools>>;
  readonly alice: SocketClient;
}

/** Whether a request is for a turn about something; a classifier is sent it within a JSON string. */
const about = (text: string) => (request: { readonly messages: readonly { readonly role: string }[] }) =>
  JSON.stringify(request.messages.findLast(({ role }) => role === 'user'))
    .replaceAll('\\', '')
    .includes(`"${text}"`);

/** Adds steps that answer a turn about something. */
function script({ model }: Setting, content: string, ...steps: readonly TestStep[]): void {
  model.add(...steps.map((step) => ({ match: about(content), ...step })));
}

/** The answer of a classifier. */
const chooseBilling = '{"agent": "billing", "confidence": 0.9, "reasoning": "Money.", "alternatives": []}';
const hang = { misbehave: 'hang-before-headers' } as const;

/** Brings a turn to the moment in which its process is killed. */
type Play = (
  setting: Setting,
  content: string,
) => Promise<{ readonly reader: TurnReader; readonly nextId: string | null }>;

async function say({ alice }: Setting, content: string, input: string | Record<string, unknown> = 'assistant') {
  const conversationId = await alice.createConversation(input);
  return alice.chatTurn('ws', { conversationId, content, idempotencyKey: content });
}

async function sayTo(setting: Setting, content: string, tools: readonly string[]) {
  const agentId = await setting.alice.createAgent({ name: content, instructions: 'Help.', tools });
  return say(setting, content, { agentId });
}

/** Waits until a tool has received a call. */
async function received({ tools }: Setting, path: string): Promise<void> {
  while (!tools.received.some((call) => call.path === path)) await sleep(10);
}

/** A turn in the middle of its text, beside one that was there before: with another message of the user, or the same. */
async function playBranch(setting: Setting, content: string, before: string) {
  const { alice } = setting;
  const conversationId = await alice.createConversation('assistant');
  script(setting, before, { text: 'Before.' });
  const [started] = await alice.chatTurn('ws', { conversationId, content: before }).rest();
  const { run } = await alice.ask(documents.run, { id: started?.runId });
  script(setting, content, { text: ['Half', ' way'], afterTokens: 1, gate: createGate() }, { text: 'In its branch.' });
  const input =
    before === content
      ? { content: null, regenerateMessageId: run.messages[0].id }
      : { content, editMessageId: run.userMessage.id };
  const reader = alice.chatTurn('ws', { conversationId, idempotencyKey: content, ...input });
  await reader.untilText('Half');
  return { reader, nextId: null };
}

/** Turns at all moments in which a process can be killed. */
export const plays = {
  'before its first token': async (setting, content) => {
    script(setting, content, hang, { text: 'Hello.' });
    const reader = await say(setting, content);
    await reader.until('RoutingDecided');
    return { reader, nextId: null };
  },
  'while a classifier chooses its agent': async (setting, content) => {
    script(setting, content, hang, { text: chooseBilling }, { text: 'Money.' });
    const reader = await say(setting, content, 'orchestrated');
    await reader.until('RunStarted');
    while (!setting.model.requests.some(about(content))) await sleep(10);
    return { reader, nextId: null };
  },
  'after a classifier has chosen its agent': async (setting, content) => {
    script(setting, content, { text: chooseBilling }, hang, { text: 'Money again.' });
    const reader = await say(setting, content, 'orchestrated');
    await reader.until('RoutingDecided');
    while (setting.model.requests.filter(about(content)).length < 2) await sleep(10);
    return { reader, nextId: null };
  },
  'in the middle of a text': async (setting, content) => {
    const tokens = Array.from({ length: 300 }, (_, n) => `${n} `);
    script(setting, content, { text: tokens, delayMs: 5, gate: createGate() }, { text: 'Another answer.' });
    const reader = await say(setting, content);
    await reader.until(({ offset = 0 }) => offset > 400);
    return { reader, nextId: null };
  },
  'in the branch of an edited message': (setting, content) => playBranch(setting, content, `${content} before`),
  'while an answer is made again': (setting, content) => playBranch(setting, content, content),
  'between two steps': async (setting, content) => {
    const call = { id: 'look', name: 'lookup_order', arguments: { orderNumber: '1042' } };
    script(setting, content, { text: 'I look.', calls: [call] }, hang, { text: 'It is shipped.' });
    const reader = await sayTo(setting, content, ['lookup_order']);
    await reader.until('ToolCallCompleted');
    return { reader, nextId: null };
  },
  'during a call that must not be made twice': async (setting, content) => {
    const calls = [
      { id: 'book', name: 'book', arguments: { what: 'a room' } },
      { id: 'look', name: 'lookup_order', arguments: { orderNumber: '1042' } },
    ];
    script(setting, content, { text: 'I book.', calls }, { text: 'It may be booked.' });
    const reader = await sayTo(setting, content, ['book', 'lookup_order']);
    await reader.until('ToolCallCompleted');
    await received(setting, '/book');
    return { reader, nextId: null };
  },
  'during a call that may be made twice': async (setting, content) => {
    script(setting, content, { calls: [{ id: 'note', name: 'note', arguments: {} }] }, { text: 'Noted.' });
    const reader = await sayTo(setting, content, ['note']);
    await reader.until('ToolCallStarted');
    await received(setting, '/note');
    return { reader, nextId: null };
  },
  'during a call that a person has approved and changed': async (setting, content) => {
    const call = { id: 'pay', name: 'pay', arguments: { what: 'much' } };
    script(setting, content, { text: 'I pay.', calls: [call] }, { text: 'Paid.' });
    const reader = await sayTo(setting, content, ['pay']);
    const { runId } = await reader.until('ApprovalRequested');
    await decide(setting.alice, runId, 'pay', true, '{"what":"little"}');
    await reader.until('ToolCallStarted');
    await received(setting, '/pay');
    return { reader, nextId: null };
  },
  'after a handoff': async (setting, content) => {
    const call = { id: 'go', name: 'transfer_to_orders', arguments: { reason: 'an order' } };
    script(
      setting,
      content,
      { text: 'One moment.', calls: [call] },
      { text: ['It', ' is'], afterTokens: 1, gate: createGate() },
    );
    script(setting, content, { text: 'It is shipped.' });
    const reader = await say(setting, content, 'support');
    await reader.until(({ delta }) => delta === 'It');
    return { reader, nextId: null };
  },
  'while it waits for a person': async (setting, content) => {
    script(setting, content, { calls: [refund('refund')] }, { text: 'Refunded.' });
    const conversationId = await createBillingConversation(setting.alice);
    const reader = setting.alice.chatTurn('ws', { conversationId, content });
    await reader.until('ApprovalRequested');
    return { reader, nextId: null };
  },
  'with a turn behind it': async (setting, content) => {
    script(setting, content, { text: ['First', ' half'], afterTokens: 1, gate: createGate() }, { text: 'First.' });
    script(setting, `${content}, next`, { text: 'Second.' });
    const reader = await say(setting, content);
    const { runId } = await reader.untilText('First');
    const { run } = await setting.alice.ask('query ($id: ID!) { run(id: $id) { conversation { id } } }', { id: runId });
    const input = { conversationId: run.conversation.id, content: `${content}, next`, idempotencyKey: 'next' };
    const next = await setting.alice.ask(documents.startRun, { input: { ...input, ifBusy: 'ENQUEUE' } });
    return { reader, nextId: next.startRun.id };
  },
} satisfies Record<string, Play>;
