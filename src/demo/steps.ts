import type { HistoryItem } from '../engine/ports.ts';

/** Which of the two OpenAI APIs a request came through. */
export type DemoApi = 'RESPONSES' | 'CHAT_COMPLETIONS';

/** A request to the model server, the same shape for both APIs. */
export interface ReceivedRequest {
  readonly api: DemoApi;
  readonly model: string;
  readonly instructions: string;
  /** What came after the instructions, oldest first. */
  readonly messages: readonly HistoryItem[];
  /** The names of the offered tools. */
  readonly tools: readonly string[];
  /** What each offered tool is said to be for. */
  readonly toolDescriptions: ReadonlyMap<string, string>;
  /** The JSON Schema of each offered tool's arguments. */
  readonly toolParameters: ReadonlyMap<string, unknown>;
  readonly temperature: number | null;
  readonly maxTokens: number | null;
  readonly stream: boolean;
  /** Whether a stream is to end with its usage. Always so in the Responses API. */
  readonly wantsUsage: boolean;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The body as it came, after JSON.parse. */
  readonly body: unknown;
  /** Aborted when the client went away before the answer was complete. */
  readonly signal: AbortSignal;
}

/** A tool call that a scripted step makes. An empty or repeated id is sent as it is. */
export interface ScriptedCall {
  readonly id?: string;
  readonly name: string;
  /** A string is sent as it is, valid JSON or not. */
  readonly arguments: Readonly<Record<string, unknown>> | string;
}

/** Tokens as a step reports them. A provider that lies is scripted with odd numbers. */
export interface ScriptedUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedInputTokens?: number;
  readonly cacheWriteInputTokens?: number;
  readonly reasoningTokens?: number;
}

/** One answer of the scripted model. */
export interface ScriptedStep {
  /** A string is cut into tokens of word size, a list is sent token by token. */
  readonly text?: string | readonly string[];
  readonly reasoning?: readonly string[];
  readonly calls?: readonly ScriptedCall[];
  readonly refusal?: string;
  /** Null: none is reported. Undefined: a plausible one, a token for four characters. */
  readonly usage?: ScriptedUsage | null;
  readonly finish?: 'stop' | 'length' | 'content_filter';
  /** Milliseconds from token to token; 0 sends all of them immediately. */
  readonly delayMs?: number;
  /** Milliseconds from the headers to the first token. */
  readonly firstTokenDelayMs?: number;
}

/** Cuts a text into tokens of word size; joined they are the text. */
export function splitTokens(text: string): string[] {
  return text.match(/\s*\S+|\s+/gu) ?? [];
}

/** The tokens of a step's text. */
export function textTokensOf(step: ScriptedStep): readonly string[] {
  return typeof step.text === 'string' ? splitTokens(step.text) : (step.text ?? []);
}

/** A call's arguments as they go over the wire. */
export function argumentsOf(call: ScriptedCall): string {
  return typeof call.arguments === 'string' ? call.arguments : JSON.stringify(call.arguments);
}

/** Cuts a call's arguments into the fragments that a model would stream. */
export function splitArguments(text: string): string[] {
  return text.match(/[\s\S]{1,12}/gu) ?? [];
}

/** The usage that a step reports: its own, none, or an estimate of a token for four characters. */
export function usageOf(step: ScriptedStep, request: ReceivedRequest): Required<ScriptedUsage> | null {
  if (step.usage === null) return null;
  if (step.usage !== undefined) {
    return { cachedInputTokens: 0, cacheWriteInputTokens: 0, reasoningTokens: 0, ...step.usage };
  }
  const input = request.instructions.length + JSON.stringify(request.messages).length;
  const reasoning = (step.reasoning ?? []).join('').length;
  const calls = (step.calls ?? []).map((call) => call.name + argumentsOf(call)).join('').length;
  const output = textTokensOf(step).join('').length + (step.refusal ?? '').length + calls;
  return {
    inputTokens: Math.ceil(input / 4),
    outputTokens: Math.ceil((output + reasoning) / 4),
    cachedInputTokens: 0,
    cacheWriteInputTokens: 0,
    reasoningTokens: Math.ceil(reasoning / 4),
  };
}
