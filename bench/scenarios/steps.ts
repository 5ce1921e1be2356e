import { z } from 'zod';
import { type Plan, writePlan } from '../answer.ts';
import type { Harness, Report } from '../harness.ts';
import { probe } from '../probe-arguments.ts';
import { median } from '../statistics.ts';
import { type Switchboard, startSwitchboard } from '../switchboard.ts';
import { takeStatements } from '../systems.ts';

/** The long turn, and the one that it is held against. */
const long = { steps: 10, calls: 30 };
const short = { steps: 1, calls: 0 };

const created = z.object({ createConversation: z.object({ id: z.string() }) });
const sent = z.object({
  sendMessage: z.object({
    status: z.literal('COMPLETED'),
    toolCalls: z.array(z.object({ status: z.literal('SUCCEEDED') })),
    usage: z.object({ modelCalls: z.int() }),
  }),
});
const sendDocument = `mutation ($input: ChatTurnInput!) {
  sendMessage(input: $input) { status toolCalls { status } usage { modelCalls } }
}`;

/** A turn of 10 model steps with 30 tool calls, against one of a single step: what each step adds. */
export async function measureSteps(harness: Harness): Promise<Report> {
  const rounds = harness.quick ? 5 : 50;
  const rows: string[][] = [];
  for (const kind of harness.databases) {
    await using switchboard = await startSwitchboard(kind, harness, { probe });
    for (let count = 0; count < 3; count++) await runTurn(switchboard, `warm-${count}`, long);
    const [one, many, model, few, more]: number[][] = [[], [], [], [], []];
    for (let round = 0; round < rounds; round++) {
      const shortTurn = await runTurn(switchboard, `user-${round}`, short);
      const longTurn = await runTurn(switchboard, `user-${round}`, long);
      one?.push(shortTurn.ms);
      many?.push(longTurn.ms);
      few?.push(shortTurn.statements);
      more?.push(longTurn.statements);
      model?.push(await askModel(harness));
    }
    const modelMs = median(model ?? []);
    const stepMs = (median(many ?? []) - median(one ?? [])) / (long.steps - 1);
    // The clock of the process may add to a turn, and takes nothing from it.
    const statements = (Math.min(...(more ?? [])) - Math.min(...(few ?? []))) / (long.steps - 1);
    rows.push([
      switchboard.name,
      median(many ?? []).toFixed(1),
      stepMs.toFixed(2),
      modelMs.toFixed(2),
      (stepMs - modelMs).toFixed(2),
      statements.toFixed(1),
    ]);
  }
  return {
    title: `steps: a turn of ${long.steps} model steps with ${long.calls} tool calls`,
    columns: ['', 'turn ms', 'step ms', 'model ms', 'overhead ms/step', 'statements/step'],
    rows,
    notes: [
      `Medians of ${rounds} turns by sendMessage, one after another. step: what each step beyond the first adds.`,
      'model: the same request of the endpoint by itself, from sending it to the end of the stream. overhead: the rest, with the tool’s own time, which is next to none: events, rows and the history of the next step.',
    ],
  };
}

async function runTurn(switchboard: Switchboard, user: string, plan: Plan) {
  const { createConversation } = await switchboard.ask(user, 'mutation { createConversation { id } }', {}, created);
  const content = writePlan(plan);
  const input = { conversationId: createConversation.id, content, idempotencyKey: crypto.randomUUID() };
  await takeStatements(switchboard);
  const startedAt = performance.now();
  const { sendMessage } = await switchboard.ask(user, sendDocument, { input }, sent);
  const ms = performance.now() - startedAt;
  const { toolCalls, usage } = sendMessage;
  if (usage.modelCalls !== plan.steps || toolCalls.length !== plan.calls) {
    throw new Error(`Not the turn that was asked for: ${JSON.stringify(sendMessage)}`);
  }
  return { ms, statements: (await takeStatements(switchboard)).length };
}

/** How long the endpoint takes for a step with calls. */
async function askModel(harness: Harness): Promise<number> {
  const messages = [{ role: 'user', content: writePlan(long) }];
  const startedAt = performance.now();
  const response = await fetch(`${harness.endpointUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'bench', messages, stream: true }),
  });
  await response.text();
  return performance.now() - startedAt;
}
