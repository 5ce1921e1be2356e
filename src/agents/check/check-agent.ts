import { NotFoundError } from '../../api/errors.ts';
import { parseId } from '../../api/ids.ts';
import { parseInput, text } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import {
  type Failure,
  type ModelEndpoint,
  ModelError,
  type ModelProblem,
  type TokenUsage,
  type ToolSpec,
} from '../../engine/ports.ts';
import { capTokens } from '../../providers/llm/turn-settings.ts';
import type { AgentDependencies } from '../dependencies.ts';
import { readAgent } from '../read.ts';
import { type ResolvedAgent, requireLlm, resolveAgents } from '../resolve.ts';

/** The maximum length of the returned answer, in characters; the rest is cut off. */
const maxOutputLength = 10_000;
/** The maximum length of the answer in tokens. Most providers count reasoning as well. */
const maxTokens = 8_000;

/** Offered if the agent has tools. A model that calls it has shown that it can. */
const probe: ToolSpec = {
  name: 'switchboard_probe',
  description: 'Does nothing. Do not call it: answer the user.',
  parameters: { type: 'object', properties: {} },
};

const noUsage: TokenUsage = {
  inputTokens: 0,
  outputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteInputTokens: 0,
  reasoningTokens: 0,
};

/** The result of a test of an agent. */
export interface AgentTest {
  readonly ok: boolean;
  /** The answer of the model, or its beginning; null: it failed before it wrote anything. */
  readonly output: string | null;
  readonly error: Failure | null;
  /** The likely cause of the failure; null: it did not fail. */
  readonly problem: ModelProblem | null;
  /** The time until the end of the answer or the failure, in milliseconds. */
  readonly latencyMs: number;
  /** The time until the first text or reasoning, in milliseconds; null: there was none. */
  readonly timeToFirstTokenMs: number | null;
  readonly usage: TokenUsage & { readonly modelCalls: number; readonly complete: boolean };
}

/**
 * Runs one prompt against the provider of an agent, with its instructions and without its tools, and tells how it went. It
 * leaves nothing behind but its row in the ledger of usage. Whatever the provider does, it ends after
 * `deps.testTimeoutMs`.
 * @param clientGone aborts when the client disconnects: the test ends, as it does when the server closes
 * @throws what {@link prepareTest} throws
 */
export async function testAgent(
  viewer: Viewer,
  deps: AgentDependencies,
  id: string,
  prompt: string,
  clientGone: AbortSignal | null = null,
): Promise<AgentTest> {
  const test = await prepareTest(viewer, deps, id, prompt);
  return runTest(viewer, deps, { ...test, clientGone, onText: () => {} });
}

/** A test that may run. */
interface PreparedTest extends Pick<ResolvedAgent, 'agent'> {
  readonly llm: ModelEndpoint;
  readonly content: string;
}

/**
 * Checks whether the viewer may run a test, and counts it against the rate limit.
 * @param id the public id of an agent that the viewer may use, active or not
 * @param prompt 1 to 10,000 characters
 * @throws {RateLimitedError} if the viewer tests too often, or the tokens of a day are used up
 * @throws {BadUserInputError} if the id is not an agent id, or the prompt is empty or too long
 * @throws {NotFoundError} if the agent does not exist
 * @throws {ForbiddenError} if it is another user's or another tenant's
 * @throws {ConflictError} if its stored LLM configuration is invalid
 */
export async function prepareTest(
  viewer: Viewer,
  deps: AgentDependencies,
  id: string,
  prompt: string,
): Promise<PreparedTest> {
  await deps.testLimit.take(viewer);
  parseId('Agent', id, ['id']);
  const content = parseInput(text(1, 10_000), prompt, ['prompt']);
  const { id: agentId } = await readAgent(viewer, deps.db, id);
  await deps.tokenBudget.assertLeft(viewer);
  const resolved = (await resolveAgents(viewer, deps, [agentId])).get(agentId);
  if (resolved === undefined) throw new NotFoundError(`There is no agent ${id}.`);
  return { agent: resolved.agent, llm: requireLlm(resolved), content };
}

interface RunningTest extends PreparedTest {
  readonly clientGone: AbortSignal | null;
  /**
   * Called with each piece of the answer as it arrives, up to the maximum length of the answer.
   * @param timeToFirstTokenMs as in the result
   */
  readonly onText: (delta: string, timeToFirstTokenMs: number) => void;
}

/** Runs a test that {@link prepareTest} has allowed. The server waits for its end before it closes the database. */
export async function runTest(viewer: Viewer, deps: AgentDependencies, running: RunningTest): Promise<AgentTest> {
  const test = askModel(viewer, deps, running);
  deps.tests.add(test);
  try {
    return await test;
  } finally {
    deps.tests.delete(test);
  }
}

async function askModel(
  viewer: Viewer,
  deps: AgentDependencies,
  { agent, llm, content, clientGone, onText }: RunningTest,
): Promise<AgentTest> {
  const ended = AbortSignal.any(clientGone === null ? [deps.closing] : [deps.closing, clientGone]);
  const signal = AbortSignal.any([ended, AbortSignal.timeout(deps.testTimeoutMs)]);
  const startedAt = performance.now();
  const elapsedMs = () => Math.round(performance.now() - startedAt);
  let output: string | null = null;
  let timeToFirstTokenMs: number | null = null;
  let reportedUsage: TokenUsage | null = null;
  let error: ModelError | null = null;
  try {
    const request = {
      endpoint: { ...llm, options: capTokens(llm.options ?? {}, maxTokens) },
      instructions: agent.instructions,
      history: [{ role: 'user', content }] as const,
      // A model that cannot use tools refuses every turn of an agent that has some.
      tools: agent.toolNames.length === 0 ? [] : [probe],
      temperature: null,
      maxTokens,
      purpose: 'test',
    } as const;
    for await (const event of deps.model.stream(request, signal)) {
      if (event.type === 'text' || event.type === 'reasoning') timeToFirstTokenMs ??= elapsedMs();
      if (event.type === 'text') {
        output ??= '';
        const delta = event.delta.slice(0, maxOutputLength - output.length).toWellFormed();
        output += delta;
        if (delta !== '') onText(delta, timeToFirstTokenMs ?? elapsedMs());
      }
      if (event.type === 'finished') reportedUsage = event.usage;
    }
    output ??= '';
  } catch (thrown) {
    if (ended.aborted) error = interrupted();
    else if (signal.aborted) error = timedOut(deps.testTimeoutMs);
    else if (thrown instanceof ModelError) error = thrown;
    else throw thrown;
  }

  const latencyMs = elapsedMs();
  // A call that failed before its first token cost nothing; the cost of one that was cut off is unknown.
  const called = error === null || timeToFirstTokenMs !== null;
  const complete = !called || reportedUsage !== null;
  const usage = { ...noUsage, ...reportedUsage, modelCalls: called ? 1 : 0, complete };
  if (called) {
    const { tenantId, userId } = viewer;
    const { model } = llm;
    const row = {
      tenantId,
      userId,
      agentId: agent.id,
      step: 1,
      model,
      complete,
      durationMs: latencyMs,
      timeToFirstTokenMs,
    };
    await deps.db.modelCall.createMany({ data: [{ ...row, ...reportedUsage }] });
  }
  const ok = error === null;
  return {
    ok,
    output,
    error: error?.failure ?? null,
    problem: error?.problem ?? null,
    latencyMs,
    timeToFirstTokenMs,
    usage,
  };
}

function interrupted(): ModelError {
  const message = 'The test was cancelled: the server is stopping, or the client disconnected.';
  return new ModelError({ code: 'INTERRUPTED', message, retryable: true });
}

function timedOut(timeoutMs: number): ModelError {
  const message = `The model did not finish its answer within ${timeoutMs / 1000} seconds.`;
  return new ModelError({ code: 'MODEL_TIMEOUT', message, retryable: true }, { problem: 'TIMEOUT' });
}
