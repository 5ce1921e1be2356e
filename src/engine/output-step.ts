import type { TurnEvent } from './events.ts';
import type { TurnGuard } from './guard.ts';
import { type OpenMessage, reportGuards } from './guarded-step.ts';
import type { PlannedAgent } from './plan.ts';
import { type HistoryItem, ModelError, type TurnPorts } from './ports.ts';

/** Characters of an answer that its model is shown again when it has to correct it. */
const maxShownLength = 20_000;

/** An answer that does not fit the output schema of its agent. The model is asked once to correct it. */
export class UnfitOutput extends ModelError {
  readonly #content: string;
  readonly #problem: string;

  /** @param isCut whether it was cut at a token limit: it would be cut again */
  constructor(content: string, problem: string, isCut: boolean) {
    const why = isCut
      ? 'The answer was cut at a token limit before it fitted the output schema of the agent. Raise maxTokens.'
      : 'The answer of the model does not fit the output schema of the agent.';
    super({ code: 'MODEL_ERROR', message: why, retryable: !isCut }, { problem: 'BAD_ANSWER', isRetried: false });
    this.#content = content;
    this.#problem = problem;
  }

  /** What the history of the next attempt ends with: strict servers want a user after an assistant. */
  get correction(): readonly HistoryItem[] {
    const content = this.#content.slice(0, maxShownLength).toWellFormed();
    const note = `Your last answer cannot be used. ${this.#problem} Write the whole answer again: one JSON object that fits the schema, and nothing beside it.`;
    return [
      { role: 'assistant', content, calls: [] },
      { role: 'user', content: note },
    ];
  }
}

/** The answer of a step, as its readers were shown it. */
interface WrittenOutput {
  readonly agent: PlannedAgent;
  readonly step: number;
  readonly message: OpenMessage;
  readonly isCut: boolean;
  readonly guard: TurnGuard | null;
}

/** An answer that fits its schema, and whether a guardrail has replaced something of it. */
export interface FittingOutput {
  readonly data: unknown;
  readonly isRedacted: boolean;
}

/**
 * Checks an answer against the output schema of its agent, and its values with the guardrails of the agent if its text has
 * escapes: `\u0061` is a letter that no guardrail has seen.
 * @returns null: the agent has no output schema
 * @throws {UnfitOutput} if it does not fit; {@link ModelError} if a guardrail stops the turn, with the text withdrawn
 */
export async function* checkOutput(
  { agent, step, message, isCut, guard }: WrittenOutput,
  ports: Pick<TurnPorts, 'checkOutput'>,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent, FittingOutput | null, void> {
  const { outputSchema } = agent;
  if (outputSchema === undefined || ports.checkOutput === undefined) return null;
  const checked = ports.checkOutput(outputSchema, message.content);
  if (!checked.ok) throw new UnfitOutput(message.content, checked.problem, isCut);
  const found = message.content.includes('\\') && guard ? await guard.checkData(agent.id, checked.data, signal) : null;
  if (found === null) return { data: checked.data, isRedacted: false };
  if (found.blockedBy !== null || found.isRedacted) {
    message.content = '';
    yield { type: 'textRetracted', messageId: message.id, length: 0 };
  }
  yield* reportGuards(found, step);
  if (!found.isRedacted) return { data: checked.data, isRedacted: false };
  message.content = JSON.stringify(found.value);
  yield { type: 'textDelta', messageId: message.id, offset: 0, delta: message.content };
  const again = ports.checkOutput(outputSchema, message.content);
  if (!again.ok) throw new UnfitOutput(message.content, again.problem, isCut);
  return { data: again.data, isRedacted: true };
}
