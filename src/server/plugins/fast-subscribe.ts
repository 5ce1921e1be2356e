import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  type FieldNode,
  GraphQLObjectType,
  getOperationAST,
  Kind,
  type OperationDefinitionNode,
} from 'graphql';
import { collectFields } from 'graphql/execution/collectFields.js';
import type { Plugin } from 'graphql-yoga';
import { formatId } from '../../api/ids.ts';
import { FairTurns } from '../../event-loop/fair-turns.ts';
import { type FeedEvent, feedEvent } from '../../feed/feed-event.ts';
import type { Context } from '../../graphql/context.ts';
import { readVariables } from '../../graphql/variables.ts';
import { freeBytes } from '../../limits/answer-budget.ts';
import type { RunEvent } from '../../log/event.ts';
import { executeWhileAway } from './retry-event.ts';

/**
 * Subscribes without the executor for the events that arrive by the hundred: a TextDelta or ReasoningDelta is plain
 * data, so its selection is collected once, and each event is projected by reading properties. All other events go
 * through graphql-js, each with a fresh context, so that nothing cached for an earlier event is shown.
 * Measured: graphql-js and its per-event plugins are half the cost of a streamed token.
 */
export function useFastSubscribe(): Plugin {
  return { onSubscribe: ({ setSubscribeFn }) => setSubscribeFn(subscribe) };
}

/** Does what `subscribe` of graphql-js does, with the same results. */
export async function subscribe(
  args: ExecutionArgs,
): Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult> {
  const source = await createSourceEventStream(args);
  if (!isAsyncIterable(source)) return source;
  const projections = new Map<string, Projection | null>();
  /** The budget of the last event. It was sent when the next one is asked for. */
  let sending: Disposable | null = null;
  const onSent = () => {
    sending?.[Symbol.dispose]();
    sending = null;
  };
  const budget = isContext(args.contextValue) ? args.contextValue.answer : null;
  /** While the viewer does not read what was sent to it, the next event waits in the log, which costs nothing. */
  const waitForRoom = (signal: AbortSignal) => {
    // First of all: who waits holds nothing.
    onSent();
    return budget?.waitForRoom(signal) ?? null;
  };
  const projectionOf = (type: PlainEvent['type']): Projection | null => {
    let projection = projections.get(type);
    if (projection === undefined) {
      projection = tryCompile(args, type);
      projections.set(type, projection);
    }
    return projection;
  };
  /** What the last event took that was read from rows: how long the next one will be is known when it was read. */
  let readBytes = eventBytes;
  const sizeOf = (event: unknown) =>
    isPlain(event) ? eventBytes + event.delta.length * (projectionOf(event.type)?.copies ?? 1) : readBytes;
  const project = (event: unknown, left: AbortSignal): ExecutionResult | Promise<ExecutionResult | null> => {
    // A long one, or one that is repeated by aliases, is measured by the executor: it may be larger than an answer may be.
    if (isPlain(event) && sizeOf(event) <= freeBytes) {
      const projection = projectionOf(event.type);
      if (projection) return { data: projection.project(event) };
    }
    const context: unknown = args.contextValue;
    if (!isContext(context)) return execute({ ...args, rootValue: event });
    const read = async () => {
      // Of an attempt that failed.
      onSent();
      const contextValue = context.renew();
      sending = contextValue.answer;
      const result = await execute({ ...args, rootValue: event, contextValue });
      readBytes = eventBytes + contextValue.answer.written;
      contextValue.answer.shrink();
      return result;
    };
    // The rows that it selects were deleted in the meantime: the reader gets ConversationDeleted instead.
    const isLeftOut = async ({ data }: ExecutionResult) =>
      data == null && isFeedEvent(event) && (await isObsolete(context, event));
    return executeWhileAway(read, isLeftOut, { maxMs: context.runs.outageMs, signal: left });
  };
  const waitForTurn = (event: unknown, signal: AbortSignal) => {
    const context: unknown = args.contextValue;
    if (!isContext(context)) return null;
    const bytes = sizeOf(event);
    const wait = context.answer.waitForPace(bytes, signal);
    return wait ? wait.then(() => waitInTurn(context, bytes) ?? undefined) : waitInTurn(context, bytes);
  };
  return mapIterator(source[Symbol.asyncIterator](), project, { waitForRoom, waitForTurn }, onSent);
}

type PlainEvent = Extract<RunEvent, { type: 'TextDelta' | 'ReasoningDelta' }>;

/** The selection of a document on a plain event. */
interface Projection {
  /** How often it repeats the text, by aliases. */
  readonly copies: number;
  readonly project: (event: PlainEvent) => Record<string, unknown>;
}

/** What an event takes beside its text, roughly, in bytes. */
const eventBytes = 100;
/** So many bytes of events are written in one turn of the event loop, those of each user in turn. */
const bytesPerTurn = 128 * 1024;
const turns = new FairTurns(bytesPerTurn);

/**
 * Hundreds of streams that have much to send at the same time would otherwise all send in one turn of the event loop.
 * @returns null: it can be sent now
 */
function waitInTurn({ viewer: { tenantId, userId } }: Context, bytes: number): Promise<void> | null {
  return turns.wait(tenantId, userId, bytes);
}

function isPlain(event: unknown): event is PlainEvent {
  if (typeof event !== 'object' || event === null || !('type' in event)) return false;
  return event.type === 'TextDelta' || event.type === 'ReasoningDelta';
}

/** Reads each field of a plain event, serialised: the same values as the resolvers in runs/graphql/events.ts. */
const readers: Readonly<Record<string, (event: PlainEvent) => unknown>> = {
  __typename: (event) => event.type,
  seq: (event) => event.seq,
  runId: (event) => formatId('Run', event.runId),
  at: (event) => new Date(event.at).toISOString(),
  delta: (event) => event.delta,
  messageId: (event) => formatId('Message', event.messageId),
  offset: (event) => event.offset,
};

/** Leaves what cannot be compiled, such as a directive whose variable is null, to the executor: it reports the error. */
function tryCompile(args: ExecutionArgs, typeName: PlainEvent['type']): Projection | null {
  try {
    return compileProjection(args, typeName);
  } catch {
    return null;
  }
}

/** The selection of a document on one type of event, as a function; null if it needs the executor. */
function compileProjection(args: ExecutionArgs, typeName: PlainEvent['type']): Projection | null {
  const { schema, document } = args;
  const operation = getOperationAST(document, args.operationName);
  const root = schema.getSubscriptionType();
  const type = schema.getType(typeName);
  if (!operation || !root || !(type instanceof GraphQLObjectType)) return null;
  const { coerced: variables = null } = readVariables(args, operation);
  if (!variables) return null;

  const fragments = Object.fromEntries(
    document.definitions.flatMap((node) => (node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node]] : [])),
  );
  const collect = (on: GraphQLObjectType, set: OperationDefinitionNode['selectionSet']) =>
    collectFields(schema, fragments, variables, on, set);

  const [rootField, ...others] = collect(root, operation.selectionSet);
  if (!rootField || others.length > 0) return null;
  const [rootKey, rootNodes] = rootField;

  const entries: [key: string, read: (event: PlainEvent) => unknown][] = [];
  const merged: FieldNode[] = rootNodes.flatMap((node) =>
    node.selectionSet ? [...collect(type, node.selectionSet).entries()].map(([, nodes]) => nodes[0] ?? node) : [],
  );
  for (const node of merged) {
    const read = readers[node.name.value];
    if (!read) return null;
    entries.push([node.alias?.value ?? node.name.value, read]);
  }
  const project = (event: PlainEvent) => {
    const data = emptyRecord();
    for (const [key, read] of entries) data[key] = read(event);
    const result = emptyRecord();
    result[rootKey] = data;
    return result;
  };
  return { copies: entries.filter(([, read]) => read === readers.delta).length, project };
}

/** An object without a prototype, like those of graphql-js: an alias may be any name. */
function emptyRecord(): Record<string, unknown> {
  return Object.create(null);
}

function isContext(value: unknown): value is Context {
  return typeof value === 'object' && value !== null && 'renew' in value && typeof value.renew === 'function';
}

function isAsyncIterable(value: object): value is AsyncIterable<unknown> {
  return Symbol.asyncIterator in value;
}

function isFeedEvent(event: unknown): event is FeedEvent {
  return feedEvent.safeParse(event).success;
}

async function isObsolete({ db, viewer }: Pick<Context, 'db' | 'viewer'>, event: FeedEvent): Promise<boolean> {
  const { tenantId, userId } = viewer;
  return (await db.conversation.count({ where: { id: event.conversationId, tenantId, userId } })) === 0;
}

/** What the next event of a stream waits for; null: for nothing. */
interface Waits {
  /** Called when the last result was taken. */
  readonly waitForRoom: (signal: AbortSignal) => Promise<void> | null;
  readonly waitForTurn: (event: unknown, signal: AbortSignal) => Promise<void> | null;
}

/**
 * Maps an iterator; what is mapped to null is left out. Unlike an async generator, it forwards `return` immediately, even
 * while `next` is pending.
 */
function mapIterator(
  source: AsyncIterator<unknown>,
  map: (event: unknown, left: AbortSignal) => ExecutionResult | Promise<ExecutionResult | null>,
  { waitForRoom, waitForTurn }: Waits,
  onLeft: () => void,
): AsyncIterableIterator<ExecutionResult> {
  const left = new AbortController();
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      for (;;) {
        const room = waitForRoom(left.signal);
        if (room) await room;
        if (left.signal.aborted) return { done: true, value: undefined };
        const step = await source.next();
        if (step.done) return { done: true, value: undefined };
        const turn = waitForTurn(step.value, left.signal);
        if (turn) {
          await turn;
          // Others may have taken the room in the meantime.
          await waitForRoom(left.signal);
          if (left.signal.aborted) return { done: true, value: undefined };
        }
        const mapped = map(step.value, left.signal);
        const value = mapped instanceof Promise ? await mapped : mapped;
        if (left.signal.aborted) return { done: true, value: undefined };
        if (value !== null) return { done: false, value };
      }
    },
    async return() {
      left.abort();
      onLeft();
      await source.return?.();
      return { done: true, value: undefined };
    },
  };
}
