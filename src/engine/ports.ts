/**
 * What the engine needs from outside, as types. Nothing here knows Prisma, GraphQL or openai.
 */

/** Why a run failed, as clients see it. */
export const failureCodes = [
  'MODEL_ERROR',
  'MODEL_TIMEOUT',
  'MODEL_REFUSED',
  'CONTEXT_TOO_LONG',
  'EMPTY_ANSWER',
  'RATE_LIMITED',
  'MAX_STEPS_EXCEEDED',
  'GUARDRAIL_TRIPPED',
  'INTERRUPTED',
  'INTERNAL',
] as const;

/** A failure of a run: an event and a status, never a GraphQL error. The message is written for the user. */
export interface Failure {
  readonly code: (typeof failureCodes)[number];
  readonly message: string;
  /** Whether the same turn may work when it is tried again. */
  readonly retryable: boolean;
}

/** What a failure says about the model's provider or its configuration. */
export type ModelProblem =
  | 'INVALID_KEY'
  | 'UNKNOWN_MODEL'
  | 'UNREACHABLE'
  | 'TIMEOUT'
  | 'ADDRESS_NOT_ALLOWED'
  | 'RATE_LIMITED'
  | 'REFUSED'
  | 'BAD_ANSWER'
  | 'OTHER';

interface ModelErrorOptions extends ErrorOptions {
  readonly retryAfterMs?: number | null;
  readonly problem?: ModelProblem;
  readonly isRetried?: boolean;
  readonly contextTokens?: number | null;
}

/** What a ModelPort throws. */
export class ModelError extends Error {
  override readonly name = 'ModelError';
  readonly failure: Failure;
  /**
   * Whether the engine may try the step again by itself; by default `failure.retryable`. False if trying again immediately
   * would make things worse, e.g. cancel a model that is being loaded.
   */
  readonly isRetried: boolean;
  /** The context window of the model, in tokens, if the provider named it when it refused the request; else null. */
  readonly contextTokens: number | null;
  /** How long the provider asks to wait before the next try, in milliseconds; null: it did not say. */
  readonly retryAfterMs: number | null;
  /** What to check in the agent's configuration. */
  readonly problem: ModelProblem;

  constructor(failure: Failure, options: ModelErrorOptions = {}) {
    super(failure.message, options);
    this.failure = failure;
    this.retryAfterMs = options.retryAfterMs ?? null;
    this.problem = options.problem ?? 'OTHER';
    this.isRetried = options.isRetried ?? failure.retryable;
    this.contextTokens = options.contextTokens ?? null;
  }
}

/** A tool call that a model asked for. */
export interface RequestedCall {
  /** The model's call id. */
  readonly id: string;
  readonly name: string;
  /** As the model wrote them: they may be invalid JSON. */
  readonly arguments: string;
}

/**
 * Data that a provider attaches to a step and wants back unchanged with the step's calls: signatures, encrypted
 * reasoning. It is opaque, goes back to the same agent's same endpoint only, and never to clients.
 */
export interface ProviderState {
  readonly agentId: string;
  /** The endpoint that sent it (`nameEndpoint`). */
  readonly endpoint: string;
  /** JSON, as the ModelPort made it. */
  readonly data: unknown;
}

/** An image that a model is given beside a text. */
export interface InputImage {
  /** The row id of its file. */
  readonly id: string;
  /** The name to show to people. */
  readonly name: string;
  /** About how many tokens it takes. */
  readonly tokens: number;
  /** The image as a `data:` URL. Unset: it is read when the model is asked. */
  readonly url?: string;
}

/** What a model is given of the files of a message. */
export interface AttachedContent {
  /** What stands in them, below the text of the message; empty: nothing. */
  readonly text: string;
  readonly images: readonly InputImage[];
}

/** What a model is told of an attachment of the user's message. */
export interface FileText {
  /** Its place among the attachments of the message, from 0 on. */
  readonly place: number;
  /** The row id of what is stored of it; null: nothing is. */
  readonly id: string | null;
  readonly name: string;
  /** Where it is, if that is elsewhere. */
  readonly url: string | null;
  /** What stands in it; null: nothing that is known. */
  readonly text: string | null;
}

/** The files of the message that began the turn. */
export interface MessageFiles {
  /** What they are called, where they are and all that stands in them, also what is too long for a model. */
  readonly read: () => Promise<readonly FileText[]>;
  /** What a model is given of them, as they are stored now; null: there are none. */
  readonly give: () => Promise<AttachedContent | null>;
}

/** One entry of the history that a model is given. Valid for every provider: each call is followed by its result. */
export type HistoryItem =
  | {
      readonly role: 'user';
      readonly content: string;
      /** What it is given of the files of the message; unset: there are none. */
      readonly attached?: AttachedContent;
      /** Whether it joined its turn while that was under way; unset: it began one. */
      readonly isSteered?: true;
    }
  | { readonly role: 'system'; readonly content: string }
  | {
      readonly role: 'assistant';
      readonly content: string;
      readonly calls: readonly RequestedCall[];
      /** What the provider of the step wants back with its calls. */
      readonly state?: ProviderState;
    }
  | { readonly role: 'tool'; readonly callId: string; readonly output: string };

/** A tool as it is described to a model. */
export interface ToolSpec {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the arguments: an object schema. */
  readonly parameters: Record<string, unknown>;
}

/** How to reach a model: the resolved LLM configuration of an agent. */
export interface ModelEndpoint {
  readonly api: 'RESPONSES' | 'CHAT_COMPLETIONS';
  /** Base URL with the version, e.g. https://api.openai.com/v1 */
  readonly apiUrl: string;
  /** Empty: none is sent. */
  readonly apiKey: string;
  readonly model: string;
  /** The path under `apiUrl`, if it is not the usual one of the API. */
  readonly path?: string;
  /** Added to the URL, e.g. Azure's api-version. */
  readonly query?: Readonly<Record<string, string>>;
  /** How the key is sent: `Authorization: Bearer` by default. */
  readonly keyStyle?: 'bearer' | 'api-key';
  /** Further fields of the request's body. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Whether a user wrote the address: requests then go through the address guard. */
  readonly guarded?: boolean;
  /** The context window of the model, in tokens; unset: it is not known. */
  readonly contextTokens?: number;
}

/** What one model step sends. */
export interface ModelRequest {
  readonly endpoint: ModelEndpoint;
  readonly instructions: string;
  readonly history: readonly HistoryItem[];
  readonly tools: readonly ToolSpec[];
  /** 0 to 2; null: none is sent, and the model's own applies. OpenAI's models that reason refuse any other. */
  readonly temperature: number | null;
  /** Tokens of the answer, at most; null: nobody set a limit, and none is sent. */
  readonly maxTokens: number | null;
  /** JSON Schema of the answer, an object schema; unset: any text. */
  readonly outputSchema?: Readonly<Record<string, unknown>>;
  /** What it is made for, as metrics and traces tell it; unset: a turn. */
  readonly purpose?: 'guardrail' | 'test' | 'title';
}

/** Tokens of one model call, as its provider reports them. The three after the totals are parts of them. */
export interface TokenUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedInputTokens: number;
  readonly cacheWriteInputTokens: number;
  readonly reasoningTokens: number;
  /** What counts towards budgets, if less than the totals can be true; unset: the totals. */
  readonly budgetTokens?: number;
}

/** What one model step returns, in order; `finished` comes exactly once and last. Text never splits a surrogate pair. */
export type ModelEvent =
  | { readonly type: 'text'; readonly delta: string }
  | { readonly type: 'reasoning'; readonly delta: string }
  | { readonly type: 'call'; readonly call: RequestedCall }
  | {
      readonly type: 'finished';
      /** `length`: cut at a token limit; the text so far is the answer. */
      readonly reason: 'stop' | 'calls' | 'length';
      /** What the provider wants back with the calls of this step, as JSON; unset: nothing. */
      readonly state?: unknown;
      /** Null: the provider reported none. */
      readonly usage: TokenUsage | null;
    };

/** A model. */
export interface ModelPort {
  /**
   * Runs one model step.
   * @throws {ModelError} for every failure of the provider: refused, truncated, timed out, empty, unreadable
   * @throws the signal's reason when it is aborted
   */
  stream(request: ModelRequest, signal: AbortSignal): AsyncIterable<ModelEvent>;
}

/** What a tool returned. */
export type ToolOutcome =
  | { readonly ok: true; readonly result: unknown }
  /** The model is given the error, so that it can correct its call. */
  | { readonly ok: false; readonly error: string };

/** The tools of a run. */
export interface ToolPort {
  /**
   * Runs one tool with the arguments that the model wrote, parsed, without a number that was rounded in parsing.
   * Arguments against the schema come back as `ok: false`, not as a throw.
   */
  call(
    call: { readonly id: string; readonly name: string; readonly arguments: unknown },
    context: { readonly agentId: string; readonly signal: AbortSignal },
  ): Promise<ToolOutcome>;
  /**
   * Checks the arguments without calling the tool, so that nobody is asked to approve a call that cannot work.
   * @returns what is wrong with them, for the model; null: nothing
   */
  check?(call: { readonly name: string; readonly arguments: unknown }): string | null;
}

/** An answer that an agent with an output schema has written, checked. */
export type CheckedOutput =
  | { readonly ok: true /** As JSON columns hold it. */; readonly data: unknown }
  /** The model is told the problem, so that it can correct its answer. */
  | { readonly ok: false; readonly problem: string };

/** Everything the engine needs from outside; tests pass stand-ins. */
export interface TurnPorts {
  readonly model: ModelPort;
  readonly tools: ToolPort;
  /** A new row id. */
  readonly newId: () => string;
  /** The row id of the message that a step writes: the same each time the step is tried, in whichever process. */
  readonly messageId: (step: number) => string;
  readonly now: () => Date;
  /**
   * Called before the model of a step is called, unless the step has its answer already.
   * @throws {ModelError} if it may not be: the turn fails
   */
  readonly mayCallModel?: (step: number) => Promise<void>;
  /** Checks an answer against the output schema of its agent; unset: no agent has one. */
  readonly checkOutput?: (schema: Readonly<Record<string, unknown>>, text: string) => CheckedOutput;
  /** For the guardrails of agents that become active; unset: they check the text of the message alone. */
  readonly files?: MessageFiles;
  /** Called when a step begins, before its model is called. */
  readonly onStep?: (step: number, agent: { readonly id: string; readonly name: string }) => void;
}
