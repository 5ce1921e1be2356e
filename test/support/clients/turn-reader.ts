import { z } from 'zod';
import type { TestApp } from '../app.ts';

export type Transport = 'ws' | 'sse';

const toolCall = z.object({
  id: z.string(),
  callId: z.string(),
  name: z.string(),
  arguments: z.string(),
  status: z.string(),
  result: z.unknown(),
  error: z.string().nullable(),
});
const message = z.object({ id: z.string(), role: z.string(), status: z.string(), content: z.string() });
const runState = z.object({ id: z.string(), status: z.string(), lastSeq: z.int() });
const named = z.object({ name: z.string() });
const failure = z.object({ code: z.string(), message: z.string(), retryable: z.boolean() });

const turnEvent = z.object({
  __typename: z.string(),
  seq: z.int(),
  runId: z.string(),
  run: runState.optional(),
  userMessage: message.optional(),
  decision: z.object({ rootAgent: named.nullable(), selectedAgents: z.array(named) }).optional(),
  messageId: z.string().optional(),
  agent: named.optional(),
  offset: z.int().optional(),
  delta: z.string().optional(),
  position: z.int().optional(),
  length: z.int().optional(),
  toolCall: toolCall.optional(),
  handoff: z
    .object({ id: z.string(), seq: z.int(), fromAgent: named, toAgent: named, reason: z.string().nullable() })
    .optional(),
  message: message.optional(),
  error: failure.optional(),
});
/** An event as these tests select it: what its type does not have is undefined. */
export type TurnEvent = z.output<typeof turnEvent>;

const answer = z.object({
  data: z.record(z.string(), z.unknown()).nullish(),
  errors: z.array(z.looseObject({ message: z.string(), extensions: z.looseObject({ code: z.string() }) })).optional(),
});
export type StreamError = NonNullable<z.output<typeof answer>['errors']>[number];

const selection = `
  __typename seq runId
  ... on RunQueued { run { id status lastSeq } position }
  ... on RunStarted { run { id status lastSeq } userMessage { id role status content } }
  ... on RoutingDecided { decision { rootAgent { name } selectedAgents { name } } }
  ... on MessageStarted { messageId agent { name } }
  ... on TextDelta { messageId offset delta }
  ... on ReasoningDelta { messageId offset delta }
  ... on TextRetracted { messageId length }
  ... on ToolCallStarted { toolCall { id callId name arguments status result error } }
  ... on ToolCallCompleted { toolCall { id callId name arguments status result error } }
  ... on ApprovalRequested { toolCall { id callId name arguments status result error } }
  ... on HandoffOccurred { handoff { id seq fromAgent { name } toAgent { name } reason } }
  ... on MessageSteered { message { id role status content } }
  ... on MessageCompleted { message { id role status content } }
  ... on RunCompleted { run { id status lastSeq } }
  ... on RunFailed { run { id status lastSeq } error { code message retryable } }
  ... on RunCancelled { run { id status lastSeq } }`;
export const chatTurnDocument = `subscription ($input: ChatTurnInput!) { chatTurn(input: $input) { ${selection} } }`;
export const runEventsDocument = `
  subscription ($runId: ID!, $after: Int) { runEvents(runId: $runId, after: $after) { ${selection} } }`;

/** A stream was answered with errors. */
export class StreamRefused extends Error {
  override readonly name = 'StreamRefused';
  readonly errors: readonly StreamError[];

  constructor(errors: readonly StreamError[]) {
    super(JSON.stringify(errors));
    this.errors = errors;
  }
}

/** A client that reads the events of a turn. */
export class TurnReader {
  /** What has come so far. */
  readonly events: TurnEvent[] = [];
  readonly #results: AsyncIterator<unknown>;
  readonly #leave: () => unknown;

  constructor(results: AsyncIterator<unknown>, leave: () => unknown) {
    this.#results = results;
    this.#leave = leave;
  }

  /**
   * The next event, or null at the end of the stream.
   * @throws {StreamRefused} when it came with errors
   */
  async next(): Promise<TurnEvent | null> {
    const step = await this.#results.next();
    if (step.done) return null;
    const { data, errors } = answer.parse(step.value);
    if (errors) throw new StreamRefused(errors);
    const event = turnEvent.parse(Object.values(data ?? {})[0]);
    this.events.push(event);
    return event;
  }

  /** Reads up to an event that is asked for, and answers it. */
  async until(isIt: string | ((event: TurnEvent) => boolean)): Promise<TurnEvent> {
    const found = typeof isIt === 'string' ? (event: TurnEvent) => event.__typename === isIt : isIt;
    for (let event = await this.next(); event; event = await this.next()) if (found(event)) return event;
    throw new Error(`The stream ended before it: ${this.events.map((event) => event.__typename).join(' ')}`);
  }

  /** Reads until some message has this text so far. */
  untilText(text: string): Promise<TurnEvent> {
    return this.until(() => [...assembleTexts(this.events).values()].includes(text));
  }

  /** Reads to the end, and answers all that ever came. */
  async rest(): Promise<TurnEvent[]> {
    while (await this.next());
    return this.events;
  }

  /** Goes away. */
  async leave(): Promise<void> {
    await this.#leave();
  }
}

/** What a client shows: the text of each message, by its id. */
export function assembleTexts(events: readonly TurnEvent[], from: ReadonlyMap<string, string> = new Map()) {
  const texts = new Map(from);
  for (const { __typename, messageId = '', offset = 0, delta = '', length = 0 } of events) {
    const text = texts.get(messageId) ?? '';
    if (__typename === 'MessageStarted') texts.set(messageId, text);
    if (__typename === 'TextDelta') texts.set(messageId, text.slice(0, offset) + delta);
    if (__typename === 'TextRetracted') texts.set(messageId, text.slice(0, length));
  }
  return texts;
}

/** The types of events in their order, adjacent deltas as one. */
export function sequenceOf(events: readonly TurnEvent[]): string[] {
  const types = events.map((event) => event.__typename);
  return types.filter((type, index) => !type.endsWith('Delta') || types[index - 1] !== type);
}

/** Opens a subscription over a transport. */
export function openStream(
  app: Pick<TestApp, 'url' | 'ws'>,
  transport: Transport,
  token: string,
  document: string,
  variables: Record<string, unknown>,
): TurnReader {
  if (transport === 'ws') {
    const client = app.ws(token);
    const results = client.iterate({ query: document, variables });
    return new TurnReader(results, () => results.return?.());
  }
  const gone = new AbortController();
  return new TurnReader(readEventStream(app.url, token, { query: document, variables }, gone.signal), () =>
    gone.abort(),
  );
}

/** Subscribes over SSE, as the GraphQL over SSE protocol has it in its distinct connections mode. */
export async function* readEventStream(
  url: string,
  token: string,
  body: object,
  signal: AbortSignal,
): AsyncGenerator<unknown> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${token}`,
    },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.body) throw new Error('There is no body.');
  let text = '';
  try {
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        const data = /^data: (.+)$/m.exec(block)?.[1];
        if (/^event: complete$/m.test(block)) return;
        if (data !== undefined) yield JSON.parse(data);
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
