import { describe, expect, test } from 'vitest';
import { startModelServer } from '../../src/demo/server.ts';
import type { ReceivedRequest } from '../../src/demo/steps.ts';
import { documents, openSocketClient, type SocketClient } from '../support/chat.ts';
import { createTestDatabase, createTestDataFolder } from '../support/database/database.ts';
import { type FaultyStep, playFaulty } from '../support/scripted-model/faults.ts';
import { createGate, type Gate } from '../support/scripted-model/gate.ts';
import { findRefusal } from '../support/scripted-model/strict-history.ts';
import { startServer } from '../support/server.ts';

/** A server is started twice and killed once. */
const room = { timeout: 240_000 };

/** A model that refuses what strict servers refuse, and otherwise does what the last word of the user says. */
async function startStrictModel() {
  const refusals: string[] = [];
  let calls = 0;
  let gate: Gate = createGate();
  /** What a turn is answered with once it was interrupted; until then it hangs. */
  let isBack = false;
  const call = (): FaultyStep => ({ calls: [{ id: `call_PTLP/${++calls}`, name: 'current_time', arguments: {} }] });

  const respond = (request: ReceivedRequest): FaultyStep => {
    const refusal = findRefusal(request.api, request.body);
    if (refusal !== null) {
      refusals.push(refusal);
      return { misbehave: { status: 400, body: { object: 'error', message: refusal } } };
    }
    const from = request.messages.findLastIndex(({ role }) => role === 'user');
    const last = request.messages[from];
    const word = last?.role === 'user' ? (last.content.split(/\s/).at(-1) ?? '') : '';
    const isFirstStep = request.messages.length === from + 1;
    if (word === 'fail') return { misbehave: { status: 400, body: { error: { message: 'No.' } } } };
    if (word === 'empty') return {};
    if (word === 'loop') return call();
    if (word === 'blank' && isFirstStep) return { ...call(), text: '\n\n' };
    if (['stop', 'kill', 'tools'].includes(word) && isFirstStep) return { text: 'Let me see.', ...call() };
    if (word === 'stop' || (word === 'kill' && !isBack)) return { text: 'x', afterTokens: 0, gate, misbehave: 'hang' };
    return { text: `You said ${word}.` };
  };
  const server = await startModelServer<FaultyStep>({ respond, play: playFaulty });
  return {
    url: server.url,
    refusals,
    /** The next turn that hangs comes to this gate. */
    nextGate: () => {
      gate = createGate();
      return gate.reached;
    },
    goOn: () => {
      isBack = true;
    },
    [Symbol.asyncDispose]: server.close,
  };
}

describe.each(['chat_completions', 'responses'])('A conversation at a strict server (%s)', (api) => {
  test(
    'H1 H2 H3 H4 H9 P34 O5 A conversation that went through every odd state answers its next turn',
    room,
    async () => {
      await using model = await startStrictModel();
      await using database = await createTestDatabase();
      await using data = await createTestDataFolder();
      const env = {
        DATABASE_URL: database.url,
        OPENAI_BASE_URL: model.url,
        // It takes the strictest ids.
        MODEL: 'mistral-large-latest',
        MODEL_API: api,
        MAX_STEPS: '3',
      };
      let server = await startServer(data.folder, env);
      let alice: SocketClient = await openSocketClient(server, 'alice');
      const withTools = await alice.createAgent({ name: 'tools', instructions: 'Help.', tools: ['current_time'] });
      const bare = await alice.createAgent({ name: 'bare', instructions: 'Help.' });
      const conversationId = await alice.createConversation({ agentId: withTools });

      const add = (role: string, content: string, more = {}) =>
        alice.ask('mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }', {
          input: { conversationId, role, content, ...more },
        });
      const say = async (content: string, input = {}) => {
        const events = await alice.chatTurn('ws', { conversationId, content, ...input }).rest();
        expect(model.refusals).toEqual([]);
        return events.at(-1);
      };
      const sayFine = async (input = {}) =>
        expect(await say('hello', input)).toMatchObject({ __typename: 'RunCompleted' });

      // An assistant first, with calls under the ids of another system; one of them twice.
      const imported = { toolCalls: [{ callId: 'functions.x:0', name: 'look up', arguments: '{}', result: 1 }] };
      await add('ASSISTANT', 'Welcome!', imported);
      await add('ASSISTANT', 'What can I do?', imported);
      await add('SYSTEM', 'The customer is in a hurry.');
      await sayFine();

      expect(await say('fail')).toMatchObject({ __typename: 'RunFailed', error: { code: 'MODEL_ERROR' } });
      await sayFine();
      expect(await say('empty')).toMatchObject({ __typename: 'RunFailed', error: { code: 'EMPTY_ANSWER' } });
      await sayFine();

      await add('USER', 'One more thing.');
      await add('USER', 'And another.');
      await sayFine();

      expect(await say('blank')).toMatchObject({ __typename: 'RunCompleted' });
      await sayFine();

      let reached = model.nextGate();
      const stopped = alice.chatTurn('ws', { conversationId, content: 'stop' });
      const { runId } = await stopped.until('ToolCallCompleted');
      await reached;
      await alice.ask(documents.cancelRun, { id: runId });
      expect((await stopped.rest()).at(-1)?.__typename).toBe('RunCancelled');
      await sayFine();

      expect(await say('loop')).toMatchObject({ __typename: 'RunFailed', error: { code: 'MAX_STEPS_EXCEEDED' } });
      await sayFine();

      await add('SYSTEM', 'The customer has paid.');
      await add('ASSISTANT', ' \n');
      await sayFine();

      // The tools of the agent before are in the history of one that has none.
      await sayFine({ agentId: bare });
      expect(await say('tools', { agentId: withTools })).toMatchObject({ __typename: 'RunCompleted' });
      await sayFine();

      reached = model.nextGate();
      const killed = alice.chatTurn('ws', { conversationId, content: 'kill' });
      const { runId: killedId } = await killed.until('ToolCallCompleted');
      await reached;
      await server.end('SIGKILL');
      model.goOn();
      server = await startServer(data.folder, env);
      await using _server = server;
      alice = await openSocketClient(server, 'alice');
      // Whether it is taken over or given up, it ends.
      await alice.runEvents('ws', killedId).rest();
      await sayFine();
      await sayFine({ agentId: bare });
      expect(model.refusals).toEqual([]);
    },
  );
});
