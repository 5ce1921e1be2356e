import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openNewUser } from '../support/chat.ts';
import { importText } from './files.ts';

const app = shareApp();

const treeDocument = `query ($id: ID!) { conversation(id: $id) { title isArchived isPinned createdAt updatedAt messageCount
  messages { edges { node { content } } }
  all: messages(allBranches: true) { edges { node { id role status content createdAt source parent { content } branches { content } } } }
} }`;

type Json = Readonly<Record<string, unknown>>;

/** A node as the export has it. @param parent the id of another one */
function node(id: string, parent: string | null, role: string, parts: readonly unknown[], over: Json = {}): Json {
  const { content = { content_type: 'text', parts }, time = 1_700_000_000.25, ...message } = over;
  return {
    id,
    parent,
    children: [],
    message: {
      id,
      author: { role, name: null, metadata: {} },
      create_time: time,
      update_time: null,
      content,
      status: 'finished_successfully',
      end_turn: true,
      weight: 1,
      metadata: {},
      recipient: 'all',
      ...message,
    },
  };
}

/** A conversation as the export has it. */
function conversation(nodes: readonly Json[], over: Json = {}): Json {
  return {
    title: 'A trip',
    create_time: 1_700_000_000.5,
    update_time: 1_700_000_900.75,
    moderation_results: [],
    plugin_ids: null,
    conversation_id: 'c1',
    is_archived: false,
    mapping: Object.fromEntries(nodes.map((each) => [each.id, each])),
    ...over,
  };
}

const root = { id: 'root', message: null, parent: null, children: [] };

test('A conversation of ChatGPT keeps its branches and its texts, says what it has lost, and goes on', async () => {
  const user = await openNewUser(app);
  const image = { content_type: 'image_asset_pointer', asset_pointer: 'file-service://file-1', size_bytes: 9 };
  const at = (seconds: number) => ({ time: 1_700_000_000 + seconds });
  // The nodes of an export stand in no order.
  const nodes = [
    node('a2', 'result', 'assistant', ['A2'], at(40)),
    root,
    node('sys', 'root', 'system', [''], { metadata: { is_visually_hidden_from_conversation: true } }),
    node('profile', 'sys', 'user', [], {
      content: { content_type: 'user_editable_context', user_profile: 'I am Bob.' },
      metadata: { is_visually_hidden_from_conversation: true },
    }),
    node('q1', 'profile', 'user', ['Q1'], at(1)),
    node('a1', 'q1', 'assistant', ['A1'], at(2)),
    node('a1b', 'q1', 'assistant', ['A1 again'], { ...at(60), status: 'in_progress' }),
    node('q2', 'a1', 'user', [], {
      ...at(30),
      content: {
        content_type: 'multimodal_text',
        parts: [image, 'Q2', { content_type: 'audio_transcription', text: 'spoken' }],
      },
    }),
    node('think', 'q2', 'assistant', [], { content: { content_type: 'thoughts', thoughts: [{ content: 'Hm.' }] } }),
    node('call', 'think', 'assistant', [], {
      content: { content_type: 'code', language: 'unknown', text: 'search("x")' },
      recipient: 'web',
    }),
    node('result', 'call', 'tool', ['Found.']),
    node('q3', 'a2', 'user', [], { ...at(50), content: { content_type: 'multimodal_text', parts: [image] } }),
    node('a3', 'q3', 'assistant', ['A\u0000 cat.\ud800'], at(55)),
  ];
  const file = JSON.stringify([conversation(nodes, { current_node: 'a3', is_archived: true })]);
  const { skipped, conversations } = await importText(app, user, file);
  expect(skipped).toEqual([
    'Conversation 1 "A trip": left out: 1 messages of the system, 1 hidden messages, 2 images, files and recordings, 1 notes of reasoning, 2 calls of tools and their results.',
  ]);
  const [{ id }] = conversations;
  const read = (await user.ask(treeDocument, { id })).conversation;
  expect(read).toMatchObject({ title: 'A trip', isArchived: true, isPinned: false, messageCount: 6 });
  expect([read.createdAt, read.updatedAt]).toEqual(['2023-11-14T22:13:20.500Z', '2023-11-14T22:28:20.750Z']);
  const contents = ['Q1', 'A1', 'Q2\n\nspoken', 'A2', '', 'A cat.\ufffd'];
  expect(read.messages.edges.map((edge: { node: { content: string } }) => edge.node.content)).toEqual(contents);
  const all = read.all.edges.map((edge: { node: { id: string } & Json }) => edge.node);
  expect(
    all.map(({ content, parent }: { content: string; parent: Json | null }) => [content, parent?.content ?? null]),
  ).toEqual([...contents.map((content, index) => [content, contents[index - 1] ?? null]), ['A1 again', 'Q1']]);
  expect(all[1]).toMatchObject({
    role: 'ASSISTANT',
    status: 'COMPLETE',
    source: 'IMPORT',
    createdAt: '2023-11-14T22:13:22.000Z',
  });
  expect(all[1].branches).toEqual([{ content: 'A1' }, { content: 'A1 again' }]);
  expect(all[6]).toMatchObject({ status: 'PARTIAL' });

  // The other branch can be chosen, and its answer made again.
  await user.ask('mutation ($id: ID!) { selectBranch(messageId: $id) { id } }', { id: all[6].id });
  app.model.add({
    text: 'A1 anew',
    expect: ({ messages }) => expect(messages).toMatchObject([{ role: 'user', content: 'Q1' }]),
  });
  await user.chatTurn('ws', { conversationId: id, content: null, regenerateMessageId: all[6].id }).rest();
  const { conversation: after } = await user.ask(treeDocument, { id });
  expect(after.messages.edges.map((edge: { node: { content: string } }) => edge.node.content)).toEqual([
    'Q1',
    'A1 anew',
  ]);
});

test('Files that follow each other are one import, and what is wrong in one conversation costs the others nothing', async () => {
  const user = await openNewUser(app);
  const good = conversation([root, node('q', 'root', 'user', ['Hi']), node('a', 'q', 'assistant', ['Hello.'])], {
    title: null,
    current_node: 'nowhere',
    create_time: 'yesterday',
  });
  const circle = [
    node('q', 'a', 'user', ['Q']),
    node('a', 'q', 'assistant', ['A']),
    node('self', 'self', 'user', ['Me']),
    node('lost', 'nobody', 'user', ['Found']),
  ];
  const odd = [
    { id: 'text', message: 'text' },
    { id: 'list', message: { author: [], content: {} }, parent: 7 },
    node('blank', null, 'assistant', [' ']),
    node('who', null, 'wizard', ['Abracadabra']),
    node('ok', 'blank', 'user', ['Kept'], { time: -1e300 }),
  ];
  const many = Array.from({ length: 40_001 }, (_, index) => ({ id: `n${index}` }));
  const files = [
    [good, conversation(circle, { title: 'Circle' })],
    [conversation(odd, { title: ' ' }), conversation([], { title: 'Empty' }), { title: 'No tree', mapping: null }],
    [conversation(many), conversation([node('q', null, 'user', ['x'.repeat(2_000_001)])])],
  ];
  const { skipped, conversations } = await importText(app, user, files.map((file) => JSON.stringify(file)).join('\n'));
  expect(conversations).toMatchObject([
    { title: 'Hi', messageCount: 2 },
    { title: 'Circle', messageCount: 1 },
    { title: 'Kept', messageCount: 1 },
    { title: 'Empty', messageCount: 0 },
  ]);
  expect(skipped).toEqual([
    'Conversation 2 "Circle": left out: 3 nodes in a circle.',
    'Conversation 3 "Kept": left out: 2 nodes that are not messages as they should be, 1 messages without a text, 1 messages of other kinds.',
    expect.stringMatching(/^Conversation 5 was left out: /),
    expect.stringMatching(/^Conversation 6 was left out: mapping must have at most 40000 nodes/),
    expect.stringMatching(/^Conversation 7 was left out: messages\.0\.content must be/),
  ]);
});
