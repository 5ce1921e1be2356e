import { NotFoundError } from '../../api/errors.ts';
import { parseInput, text } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import {
  type Failure,
  type ModelEndpoint,
  ModelError,
  type ModelProblem,
  type TokenUsage,
} from '../../engine/ports.ts';
import { capTokens } from '../../providers/llm/turn-settings.ts';
import type { AgentDependencies } from '../dependencies.ts';
import { readAgent } from '../read.ts';
import { type ResolvedAgent, requireLlm, resolveAgents } from '../resolve.ts';

/** Characters of the answer that are given back; its end is passed over. */
const maxOutputLength = 10_000;
/** What is spent at most, in tokens of the answer: reasoning counts for most providers. */
const maxTokens = 2_000;

const noUsage: TokenUsage = {
  inputTokens: 0,
  outputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteInputTokens: 0,
  reasoningTokens: 0,
};

/** How a test of an agent went. */
export interface AgentTest {
  readonly ok: boolean;
  /** What the model wrote; null: nothing, before it failed. */
  readonly output: string | null;
  readonly error: Failure | null;
  /** What to look for where it failed. */
  readonly problem: ModelProblem | null;
  /** Until the end of the answer, or the failure, in milliseconds. */
  readonly latencyMs: number;
  /** Until the first text or reasoning, in milliseconds; null: there was none. */
  readonly timeToFirstTokenMs: number | null;
  readonly usage: TokenUsage & { readonly modelCalls: number; readonly complete: boolean };
}

/**
 * Runs one prompt against the provider of an agent, with its instructions and without tools, and tells how it went. It
 * leaves nothing behind but its row in the ledger of usage. Whatever the provider does, it ends after
 * `deps.testTimeoutMs`.
 * @param id the public id of an agent that the viewer may use, active or not
 * @param prompt 1 to 10,000 characters
 * @param left aborts when the client leaves: the test ends, as it does when the server closes
 * @throws {BadUserInputError} when the id is none of an agent, or the prompt is empty or too long
 * @throws {RateLimitedError} when the viewer tests too often
 * @throws {NotFoundError} when there is no such agent
 * @throws {ForbiddenError} when it is another user's or another tenant's
 * @throws {ConflictError} when its row does not hold a configuration of a model
 */
export async function testAgent(
  viewer: Viewer,
  deps: AgentDependencies,
  id: string,
  prompt: string,
  left: AbortSignal | null = null,
): Promise<AgentTest> {
  const content = parseInput(text(1, 10_000), prompt, ['prompt']);
  await deps.testLimit.take(viewer);
  const { id: agentId } = await readAgent(viewer, deps.db, id);
  const resolved = (await resolveAgents(viewer, deps, [agentId])).get(agentId);
  if (resolved === undefined) throw new NotFoundError(`There is no agent ${id}.`);

  const test = runTest(viewer, deps, { agent: resolved.agent, llm: requireLlm(resolved), content, left });
  deps.tests.add(test);
  try {
    return await test;
  } finally {
    deps.tests.delete(test);
  }
}

interface PreparedTest extends Pick<ResolvedAgent, 'agent'> {
  readonly llm: ModelEndpoint;
  readonly content: string;
  readonly left: AbortSignal | null;
}

async function runTest(
  viewer: Viewer,
  deps: AgentDependencies,
  { agent, llm, content, left }: PreparedTest,
): Promise<AgentTest> {
  const ended = AbortSignal.any(left === null ? [deps.closing] : [deps.closing, left]);
  const signal = AbortSignal.any([ended, AbortSignal.timeout(deps.testTimeoutMs)]);
  const begunAt = performance.now();
  const passed = () => Math.round(performance.now() - begunAt);
  let output: string | null = null;
  let timeToFirstTokenMs: number | null = null;
  let used: TokenUsage | null = null;
  let error: ModelError | null = null;
  try {
    const request = {
      endpoint: { ...llm, options: capTokens(llm.options ?? {}, maxTokens) },
      instructions: agent.instructions,
      history: [{ role: 'user', content }] as const,
      tools: [],
      temperature: null,
      maxTokens,
    };
    for await (const event of deps.model.stream(request, signal)) {
      if (event.type === 'text' || event.type === 'reasoning') timeToFirstTokenMs ??= passed();
      if (event.type === 'text') output = `${output ?? ''}${event.delta}`.slice(0, maxOutputLength).toWellFormed();
      if (event.type === 'finished') used = event.usage;
    }
    output ??= '';
  } catch (thrown) {
    if (ended.aborted) error = wasEnded();
    else if (signal.aborted) error = tookTooLong(deps.testTimeoutMs);
    else if (thrown instanceof ModelError) error = thrown;
    else throw thrown;
  }

  const latencyMs = passed();
  // What failed before it began has cost nothing; of what broke off, nobody knows how much.
  const called = error === null || timeToFirstTokenMs !== null;
  const complete = !called || used !== null;
  const usage = { ...noUsage, ...used, modelCalls: called ? 1 : 0, complete };
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
    await deps.db.modelCall.createMany({ data: [{ ...row, ...used }] });
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

function wasEnded(): ModelError {
  const message = 'The test was ended: the server stops, or the client left.';
  return new ModelError({ code: 'INTERRUPTED', message, retryable: true });
}

function tookTooLong(timeoutMs: number): ModelError {
  const message = `The model did not finish its answer in ${timeoutMs / 1000} seconds.`;
  return new ModelError({ code: 'MODEL_TIMEOUT', message, retryable: true }, { problem: 'TIMEOUT' });
}
