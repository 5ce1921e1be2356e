import { z } from 'zod';
import { writePlan } from '../answer.ts';
import { takeStatements } from '../contestants.ts';
import type { Lab, Report } from '../lab.ts';
import { probe } from '../probe-arguments.ts';
import { median } from '../statistics.ts';
import { type Switchboard, startSwitchboard } from '../switchboard.ts';

/** Model steps of the long turn; all but the last make calls. */
const steps = 10;
const calls = 3;

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

/** A turn of 10 model steps with 27 tool calls, against one of a single step: what each step adds. */
export async function measureSteps(lab: Lab): Promise<Report> {
  const rounds = lab.quick ? 5 : 50;
  const rows: string[][] = [];
  for (const kind of lab.databases) {
    await using switchboard = await startSwitchboard(kind, lab, { probe });
    for (let count = 0; count < 3; count++) await runTurn(switchboard, `warm-${count}`, steps);
    const [one, many, model, few, more]: number[][] = [[], [], [], [], []];
    for (let round = 0; round < rounds; round++) {
      const short = await runTurn(switchboard, `user-${round}`, 1);
      const long = await runTurn(switchboard, `user-${round}`, steps);
      one?.push(short.ms);
      many?.push(long.ms);
      few?.push(short.statements);
      more?.push(long.statements);
      model?.push(await askModel(lab));
    }
    const modelMs = median(model ?? []);
    const stepMs = (median(many ?? []) - median(one ?? [])) / (steps - 1);
    // The clock of the process may add to a turn, and takes nothing from it.
    const statements = (Math.min(...(more ?? [])) - Math.min(...(few ?? []))) / (steps - 1);
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
    title: `steps: a turn of ${steps} model steps, ${calls} tool calls in each but the last`,
    columns: ['', 'turn ms', 'step ms', 'model ms', 'overhead ms/step', 'statements/step'],
    rows,
    notes: [
      `Medians of ${rounds} turns by sendMessage, one after another. step: what each step beyond the first adds.`,
      'model: the same request of the endpoint by itself, from sending it to the end of the stream. overhead: the rest, with the tool’s own time, which is next to none: events, rows and the history of the next step.',
    ],
  };
}

async function runTurn(switchboard: Switchboard, user: string, modelSteps: number) {
  const { createConversation } = await switchboard.ask(user, 'mutation { createConversation { id } }', {}, created);
  const content = writePlan({ steps: modelSteps, calls });
  const input = { conversationId: createConversation.id, content, idempotencyKey: crypto.randomUUID() };
  await takeStatements(switchboard);
  const startedAt = performance.now();
  const { sendMessage } = await switchboard.ask(user, sendDocument, { input }, sent);
  const ms = performance.now() - startedAt;
  const { toolCalls, usage } = sendMessage;
  if (usage.modelCalls !== modelSteps || toolCalls.length !== (modelSteps - 1) * calls) {
    throw new Error(`Not the turn that was asked for: ${JSON.stringify(sendMessage)}`);
  }
  return { ms, statements: (await takeStatements(switchboard)).length };
}

/** How long the endpoint takes for a step with calls. */
async function askModel(lab: Lab): Promise<number> {
  const messages = [{ role: 'user', content: writePlan({ steps, calls }) }];
  const startedAt = performance.now();
  const response = await fetch(`${lab.endpointUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'bench', messages, stream: true }),
  });
  await response.text();
  return performance.now() - startedAt;
}
