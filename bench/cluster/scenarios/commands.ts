import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { percentile } from '../../statistics.ts';
import type { Cluster, Instance } from '../cluster.ts';
import { ms, type Outcome } from '../outcome.ts';
import type { Talk } from '../seen-turn.ts';
import { writeSpeech } from '../speech.ts';
import { startTurn, type TimedEvent } from '../turn-events.ts';
import { cancelRun, type Operation, post } from './post.ts';

/** What the p99 may be, in milliseconds. */
const maxDelayMs = 250;
/** So that a call is on its way to its tool, in milliseconds. */
const callMs = 50;
const long = writeSpeech({ pieces: 3_000, bytes: 6, perSecond: 50 });

const approve = 'mutation ($id: ID!) { approveToolCall(toolCallId: $id, approve: true) { status } }';
const interrupt = 'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }';

/** A moment of a turn, what another instance is asked for then, and the event that has to follow. */
interface Command {
  readonly what: string;
  readonly content: string;
  readonly when: string;
  readonly ask: (talk: Talk, event: TimedEvent) => Operation;
  readonly outcome: string;
}

const cancelIt: Command['ask'] = (_talk, { runId }) => cancelRun(runId);
const commands: readonly Command[] = [
  {
    ...{ what: 'cancel before the first token', content: 'Say nothing.', when: 'RoutingDecided' },
    ...{ ask: cancelIt, outcome: 'RunCancelled' },
  },
  {
    ...{ what: 'cancel while text arrives', content: long, when: 'TextDelta' },
    ...{ ask: cancelIt, outcome: 'RunCancelled' },
  },
  {
    ...{ what: 'cancel inside of a tool call', content: 'Call wait_long.', when: 'ToolCallStarted' },
    ...{ ask: cancelIt, outcome: 'RunCancelled' },
  },
  {
    ...{ what: 'approve a call', content: 'Call pay.', when: 'ApprovalRequested', outcome: 'ToolCallStarted' },
    ask: (_talk, { toolCall }) => ({ query: approve, variables: { id: toolCall?.id } }),
  },
  {
    ...{ what: 'interrupt by another turn', content: long, when: 'TextDelta', outcome: 'RunCancelled' },
    ask: ({ conversationId }) => ({
      query: interrupt,
      variables: {
        input: { conversationId, content: 'Call none.', idempotencyKey: crypto.randomUUID(), ifBusy: 'INTERRUPT' },
      },
    }),
  },
];

/** How soon a reader sees what another instance was asked for. */
export async function measureCommands(cluster: Cluster): Promise<Outcome> {
  const rounds = cluster.short ? 5 : 50;
  const [owner, other] = await Promise.all([cluster.start(), cluster.start()]);
  const faults: string[] = [];
  const rows: string[][] = [];
  const slow: string[] = [];
  const [first] = await cluster.createConversations(owner, 1);
  const agentId = await createAgent(owner, first);
  for (const { what, content, when, ask, outcome } of commands) {
    const delays: number[] = [];
    const answers: number[] = [];
    // The first is not counted: it compiles.
    for (let round = 0; round <= rounds; round++) {
      const talk = await createTalk(owner, first, agentId);
      using turn = await startTurn(owner, talk, content);
      try {
        const event = await turn.until(when);
        await sleep(callMs);
        const begun = performance.now();
        const answered = post(other, talk, ask(talk, event)).then(() => performance.now());
        const [{ at }, answeredAt] = await Promise.all([turn.until(outcome), answered]);
        if (round === 0) continue;
        delays.push(at - begun);
        answers.push(answeredAt - begun);
      } catch (error) {
        faults.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    const p99 = percentile(delays, 0.99);
    const [p50, answered] = [percentile(delays, 0.5), percentile(answers, 0.5)];
    rows.push([what, `${delays.length}`, ms(p50), ms(p99), ms(Math.max(...delays)), ms(answered)]);
    if (p99 >= maxDelayMs) slow.push(`${what}: the p99 is ${ms(p99)}, not less than ${maxDelayMs} ms.`);
  }
  await Promise.all([owner, other].map((instance) => instance.stop()));
  return {
    title: 'What one instance is asked for, and another one carries out',
    columns: ['', 'times', 'p50', 'p99', 'longest', 'answered, p50'],
    rows,
    notes: [
      'From the request at the one until the event reaches a reader at the other, one after another; and until the request is answered.',
    ],
    faults,
    slow,
  };
}

async function createAgent(at: Instance, talk: Talk | undefined): Promise<string> {
  const input = { name: 'caller', instructions: 'Call.', tools: ['wait_long', 'pay'] };
  const query = 'mutation ($input: CreateAgentInput!) { created: createAgent(input: $input) { id } }';
  return readId(await post(at, talk, { query, variables: { input } }));
}

async function createTalk(at: Instance, talk: Talk | undefined, agentId: string): Promise<Talk> {
  const query = 'mutation ($input: CreateConversationInput) { created: createConversation(input: $input) { id } }';
  const conversationId = readId(await post(at, talk, { query, variables: { input: { agentId } } }));
  return { token: talk?.token ?? '', conversationId };
}

const created = z.object({ created: z.object({ id: z.string() }) });
const readId = (data: unknown) => created.parse(data).created.id;
