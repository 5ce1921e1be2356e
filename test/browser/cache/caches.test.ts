import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { ReceivedRequest } from '../../../src/demo/steps.ts';
import { createBillingConversation, refund } from '../../approvals/decide.ts';
import { createGate } from '../../support/scripted-model/gate.ts';
import type { TestStep } from '../../support/scripted-model/script.ts';
import { type Harness, openHarness } from './harness.ts';
import type { Tab } from './tab.ts';

const libraries = ['apollo', 'urql', 'relay'] as const;
const resources = new AsyncDisposableStack();
let harness: Harness;

beforeAll(async () => {
  harness = await openHarness(resources);
  expect(await harness.project.generate()).toEqual([]);
  expect(harness.project.compileRelay()).toEqual({ printed: '', status: 0 });
  expect(await harness.project.compile()).toEqual({ printed: '', status: 0 });
  await harness.project.bundle(libraries);
});
afterAll(() => resources.disposeAsync());

const lookUp = (id: string, orderNumber: string) => ({ id, name: 'lookup_order', arguments: { orderNumber } });
/** What a page follows while a conversation is open, beside turns. */
const feeds = ['viewerEvents', 'conversationEvents'];
/** What a page sends when it starts, and when it opens a conversation. */
const starting = ['viewer', 'viewerEvents'];
const opening = ['conversation', 'conversationEvents'];
const rename = 'mutation ($id: ID!) { updateConversation(id: $id, input: { title: "Renamed" }) { id } }';
const addNote = `mutation ($id: ID!) {
  createMessage(input: { conversationId: $id, role: SYSTEM, content: "A note." }) { id }
}`;
/** Steps for the turn that begins with this message. */
const script = (content: string, ...steps: TestStep[]) =>
  harness.app.model.add(
    ...steps.map((step) => ({
      ...step,
      match: ({ messages }: ReceivedRequest) =>
        messages.some((message) => message.role === 'user' && message.content === content),
    })),
  );
/** A step of the model that stops in the middle of its text. */
const halfWay = (text: string) => {
  const gate = createGate();
  const step: TestStep = { text, gate, afterTokens: 2 };
  return { gate, step };
};

const openers = (library: (typeof libraries)[number]) => {
  async function openTab() {
    const tab = await harness.openTab(library);
    onTestFinished(() => tab.close());
    return tab;
  }
  /** A page that shows a conversation. */
  async function openConversation(create = (tab: Tab) => tab.other.createConversation('support')) {
    const tab = await openTab();
    const id = await create(tab);
    await tab.load();
    await tab.open(id);
    await tab.compare();
    await tab.expectOperations(...starting, ...opening);
    return { tab, id };
  }
  /** The end of each test: the page asked for nothing else, and nothing went wrong in it. */
  async function finish(tab: Tab, ...operations: string[]) {
    await tab.expectOperations(...operations);
    // As text: an array would be cut short in the message.
    expect(tab.troubles.join('\n')).toBe('');
  }

  return { openTab, openConversation, finish };
};

describe.each(libraries)('A page with the cache of %s', (library) => {
  const { openTab, openConversation, finish } = openers(library);

  test('It shows the list and the history as the server has them.', async () => {
    const tab = await openTab();
    const id = await tab.other.createConversation('support');
    script('Hi', { text: 'Hello.' });
    await tab.other.chatTurn('ws', { conversationId: id, content: 'Hi' }).rest();
    await tab.load();
    await tab.compare();
    await tab.open(id);
    await tab.compare();
    await finish(tab, ...starting, ...opening);
  });

  test('It is right in the middle and at the end of a turn with a handoff, and with text and two calls in one step.', async () => {
    const { tab } = await openConversation();
    const [first, last] = [halfWay('I look up both orders.'), halfWay('Both are on their way to you.')];
    script(
      'Where are 1042 and 1043?',
      { text: 'One moment.', calls: [{ name: 'transfer_to_orders', arguments: { reason: 'An order.' } }] },
      { ...first.step, calls: [lookUp('call_0', '1042'), lookUp('call_1', '1043')] },
      last.step,
    );
    const turn = tab.send('Where are 1042 and 1043?');
    await first.gate.reached;
    await tab.compare();
    first.gate.open();
    await last.gate.reached;
    await tab.compare();
    last.gate.open();
    await turn;
    await tab.compare();
    await finish(tab, 'chatTurn');
  });

  test('It follows an approval that another tab gives.', async () => {
    const { tab } = await openConversation(({ other }) => createBillingConversation(other));
    script(
      'Refund 1042 and 1046',
      { text: 'May I?', calls: [refund('call_0', '1042'), refund('call_1', '1046')] },
      { text: 'Refunded one.' },
    );
    const turn = tab.send('Refund 1042 and 1046');
    await tab.compare({ status: 'REQUIRES_ACTION' });
    const { pendingApprovals } = await tab.other.ask('{ pendingApprovals { edges { node { id } } } }');
    const decide =
      'mutation ($id: ID!, $approve: Boolean!) { approveToolCall(toolCallId: $id, approve: $approve) { id } }';
    for (const [index, { node }] of pendingApprovals.edges.entries()) {
      await tab.other.ask(decide, { id: node.id, approve: index > 0 });
      if (index === 0) await tab.compare({ status: 'REQUIRES_ACTION' });
    }
    await turn;
    await tab.compare();
    await finish(tab, 'chatTurn');
  });

  test('It cancels a turn.', async () => {
    const { tab } = await openConversation();
    const { gate, step } = halfWay('This is going to be long.');
    script('Tell me everything', step);
    const turn = tab.send('Tell me everything');
    await gate.reached;
    await tab.compare();
    await tab.cancel();
    await turn;
    await tab.compare();
    await finish(tab, 'chatTurn', 'cancelRun');
  });

  test('After a reload in the middle of a turn, it goes on with the turn.', async () => {
    const { tab, id } = await openConversation();
    const { gate, step } = halfWay('The answer is forty-two.');
    script('What is the answer?', { calls: [{ name: 'transfer_to_orders', arguments: {} }] }, step);
    void tab.send('What is the answer?');
    await gate.reached;
    await tab.compare();
    await tab.expectOperations('chatTurn');
    await tab.load();
    await tab.open(id);
    await tab.compare();
    gate.open();
    await tab.compare({ status: null });
    await finish(tab, ...starting, ...opening, 'runEvents');
  });

  test('It is not set back by an answer that arrives after newer events.', async () => {
    const tab = await openTab();
    const id = await tab.other.createConversation('support');
    await tab.load();
    await tab.compare();
    const answer = tab.proxy.holdAnswer();
    const opened = tab.open(id);
    await answer.reached;
    await tab.other.ask(rename, { id });
    await tab.other.ask(addNote, { id });
    // The list has both events.
    await tab.compare();
    answer.open();
    await opened;
    await tab.compare();
    await finish(tab, ...starting, ...opening);
  });

  test('It catches up with what happened while it was offline.', async () => {
    const { tab, id } = await openConversation();
    tab.proxy.goOffline();
    await tab.other.ask(rename, { id });
    await tab.other.ask(addNote, { id });
    const created = await tab.other.createConversation('support');
    tab.proxy.goOnline();
    await tab.compare();
    await tab.other.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: created });
    await tab.compare();
    await finish(tab, ...feeds);
  });

  test('It catches up with a turn that went on while it was offline, and with a message that was added between its steps.', async () => {
    const { tab, id } = await openConversation(({ other }) => createBillingConversation(other));
    const [first, last] = [halfWay('I look at the order.'), halfWay('It is on its way.')];
    script('Where is it?', { ...first.step, calls: [lookUp('call_0', '1042')] }, last.step);
    const turn = tab.send('Where is it?');
    await first.gate.reached;
    await tab.compare();
    tab.proxy.goOffline();
    await tab.other.ask(addNote, { id });
    first.gate.open();
    await last.gate.reached;
    tab.proxy.goOnline();
    await tab.compare();
    last.gate.open();
    await turn;
    await tab.compare();
    await finish(tab, 'chatTurn', ...feeds);
  });

  test('It follows turns that another tab begins, and those that wait behind them.', async () => {
    const { tab, id } = await openConversation();
    const [first, second] = [halfWay('The first answer, at length.'), halfWay('The second answer.')];
    script('First', first.step);
    const theirs = tab.other.chatTurn('ws', { conversationId: id, content: 'First' }).rest();
    await first.gate.reached;
    await tab.compare();
    script('Second', second.step);
    script('Third', { text: 'The third.' });
    const turns = [tab.send('Second'), tab.send('Third')];
    await tab.compare();
    first.gate.open();
    await theirs;
    await second.gate.reached;
    await tab.compare();
    second.gate.open();
    await Promise.all(turns);
    await tab.compare();
    await finish(tab, 'runEvents', 'chatTurn');
  });

  test('It forgets a conversation that another tab deletes in the middle of its turn.', async () => {
    const { tab, id } = await openConversation();
    const { gate, step } = halfWay('This goes nowhere.');
    script('Hello?', step);
    const turn = tab.send('Hello?');
    await gate.reached;
    await tab.compare();
    await tab.other.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id });
    await turn;
    await tab.compare();
    await finish(tab, 'chatTurn');
  });

  test('Wherever in a turn its socket is cut, it ends with what the server has.', async () => {
    const tab = await openTab();
    await tab.load();
    await tab.expectOperations(...starting);
    for (let events = 0, isCut = true; isCut; events++) {
      const id = await tab.other.createConversation('support');
      await tab.compare();
      await tab.open(id);
      script(
        'Where are they?',
        { calls: [{ name: 'transfer_to_orders', arguments: {} }] },
        { text: ['I', ' look.'], calls: [lookUp('call_0', '1042'), lookUp('call_1', '1043')], delayMs: 2 },
        { text: ['On', ' their', ' way.'], delayMs: 2 },
      );
      const wasCut = tab.proxy.cutAfter(events);
      await tab.send('Where are they?');
      await tab.compare();
      isCut = wasCut();
      await tab.expectOperations('chatTurn', ...opening, ...(isCut ? ['viewerEvents'] : []));
    }
    await finish(tab);
  });
});

// Relay has no list of a connection replaced by an event: its application asks again.
describe.each(['apollo', 'urql'] as const)('A page with the cache of %s and branches', (library) => {
  const { openConversation, finish } = openers(library);
  const texts = async (tab: Tab) => (await tab.shown()).map(({ content }) => content);

  test('It edits, has an answer made again and goes back, without asking again, and shows no message of another branch.', async () => {
    const { tab, id } = await openConversation();
    for (const n of [1, 2]) {
      script(`Q${n}`, { text: `A${n}.` });
      await tab.send(`Q${n}`);
    }
    await tab.compare();
    const first = await tab.shown();
    expect(first.map(({ content }) => content)).toEqual(['Q1', 'A1.', 'Q2', 'A2.']);
    await tab.expectOperations('chatTurn');

    // In the middle of the turn, too: the edited message and its answer are gone.
    const { gate, step } = halfWay('The edited one, at length.');
    script('Q2 edited', step);
    const turn = tab.edit(first[2]?.id ?? '', 'Q2 edited');
    await gate.reached;
    await tab.compare();
    expect((await texts(tab)).slice(0, 3)).toEqual(['Q1', 'A1.', 'Q2 edited']);
    expect(await texts(tab)).not.toContain('A2.');
    gate.open();
    await turn;
    await tab.compare();
    const edited = await tab.shown();
    expect(edited.map(({ content }) => content)).toEqual(['Q1', 'A1.', 'Q2 edited', 'The edited one, at length.']);
    await tab.expectOperations('chatTurn');

    script('Q1', { text: 'A1 again.' });
    await tab.regenerate(first[1]?.id ?? '');
    await tab.compare();
    expect(await texts(tab)).toEqual(['Q1', 'A1 again.']);
    await tab.expectOperations('chatTurn');

    for (const [messageId, shown] of [
      [first[2]?.id, first],
      [edited[2]?.id, edited],
    ] as const) {
      await tab.select(messageId ?? '');
      await tab.compare();
      expect(await tab.shown()).toEqual(shown);
    }
    await tab.expectOperations('selectBranch', 'selectBranch');

    // What another tab does is seen here as well, also what this one has never had.
    script('Q2 elsewhere', { text: 'A2 elsewhere.' });
    await tab.other.chatTurn('ws', { conversationId: id, content: 'Q2 elsewhere', editMessageId: first[2]?.id }).rest();
    await tab.compare();
    expect(await texts(tab)).toEqual(['Q1', 'A1.', 'Q2 elsewhere', 'A2 elsewhere.']);
    await tab.other.ask('mutation ($id: ID!) { selectBranch(messageId: $id) { id } }', { id: edited[2]?.id });
    await tab.compare();
    expect(await tab.shown()).toEqual(edited);
    await finish(tab, 'runEvents');
  });
});
