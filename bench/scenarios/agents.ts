import { z } from 'zod';
import { writeAsk } from '../answer.ts';
import type { Harness, Report } from '../harness.ts';
import { probe } from '../probe-arguments.ts';
import { median, percentile } from '../statistics.ts';
import { startSwitchboard } from '../switchboard.ts';
import { takeStatements } from '../systems.ts';

const ids = z.object({ createAgent: z.object({ id: z.string() }) });
const conversation = z.object({ createConversation: z.object({ id: z.string() }) });
const done = z.object({ setDefaultAgent: z.object({ id: z.string() }) });
const started = z.object({ startRun: z.object({ id: z.string(), agent: z.object({ id: z.string() }) }) });
const ended = z.object({ run: z.object({ status: z.string() }) });

const create = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
const start = 'mutation ($input: ChatTurnInput!) { startRun(input: $input) { id agent { id } } }';
const choose = 'mutation ($id: ID!) { setDefaultAgent(id: $id) { id } }';

/** How long after the answer of setDefaultAgent the next turn has begun with the new agent. */
export async function measureAgents(harness: Harness): Promise<Report> {
  const switches = harness.quick ? 10 : 100;
  const rows: string[][] = [];
  for (const kind of harness.databases) {
    await using switchboard = await startSwitchboard(kind, harness, { probe });
    const agents: string[] = [];
    for (const name of ['first', 'second']) {
      const input = { name, instructions: 'Be brief.', llm: null };
      agents.push((await switchboard.ask('owner', create, { input }, ids)).createAgent.id);
    }
    const { createConversation } = await switchboard.ask(
      'owner',
      'mutation { createConversation { id } }',
      {},
      conversation,
    );
    const times: number[] = [];
    let wrong = 0;
    let statements = 0;
    for (let count = 0; count < switches; count++) {
      const id = agents[count % agents.length] ?? '';
      await switchboard.ask('owner', choose, { id }, done);
      const input = {
        conversationId: createConversation.id,
        content: writeAsk({ tokens: 1, perSecond: 0 }),
        idempotencyKey: crypto.randomUUID(),
      };
      await takeStatements(switchboard);
      const answeredAt = performance.now();
      const { startRun } = await switchboard.ask('owner', start, { input }, started);
      times.push(performance.now() - answeredAt);
      if (startRun.agent.id !== id) wrong += 1;
      for (;;) {
        const { run } = await switchboard.ask(
          'owner',
          'query ($id: ID!) { run(id: $id) { status } }',
          { id: startRun.id },
          ended,
        );
        if (run.status === 'COMPLETED') break;
      }
      statements = (await takeStatements(switchboard)).length;
    }
    rows.push([
      switchboard.name,
      median(times).toFixed(1),
      percentile(times, 0.99).toFixed(1),
      String(wrong),
      String(statements),
    ]);
  }
  return {
    title: 'agents: from the answer of setDefaultAgent to a turn that has begun with the new agent',
    columns: ['', 'median ms', 'p99 ms', 'turns of the old agent', 'statements of the last turn, with its polls'],
    rows,
    notes: [`${switches} switches between two agents. The time is that of the whole request that starts the turn.`],
  };
}
