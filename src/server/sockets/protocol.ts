import { type ExecutionArgs, type ExecutionResult, GraphQLError, getOperationAST } from 'graphql';
import { CloseCode, makeServer, type ServerOptions, type SubscribePayload } from 'graphql-ws';
import { isAsyncIterable } from 'graphql-yoga';
import type { Logger } from 'pino';
import { z } from 'zod';
import {
  BadUserInputError,
  RateLimitedError,
  SwitchboardError,
  UnauthenticatedError,
  UnavailableError,
} from '../../api/errors.ts';
import { KeysUnreachableError, type VerifyToken } from '../../auth/verify-token.ts';
import type { StatementTally } from '../../database/statements.ts';
import type { AnswerBytes } from '../../limits/answer-bytes.ts';
import type { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import { Operation } from '../operation/operation.ts';
import { readRequestId } from '../operation/request-id.ts';
import type { Yoga } from '../plugins/yoga.ts';
import { type PersistedDocuments, persistedQueryNotFound } from '../requests/persisted-documents.ts';
import { closeReasonOf, readConnectionToken, readOperationHeaders, readOperationToken } from './authenticate.ts';
import type { SocketSession } from './session.ts';

/** What the protocol needs of its socket. */
export interface SocketExtra extends Record<PropertyKey, unknown> {
  readonly session: SocketSession;
  readonly close: (code: number, reason: string) => void;
  /** Counts the statements of the message that is being handled; valid until the first await. */
  readonly currentTally: () => StatementTally;
  /** Called when the operation of the current message was started: the next message may be handled. */
  readonly onStarted: () => void;
  /** Counts an operation that is invalid. Closes the socket if there are too many. */
  readonly countRefusal: () => void;
}

/** The dependencies of the protocol. */
export interface ProtocolConfig {
  readonly yoga: Yoga;
  readonly verifyToken: VerifyToken;
  readonly logger: Logger;
  /** The documents that clients may name by an id. */
  readonly documents: PersistedDocuments;
  /** Every operation of a socket counts against it until it finishes. */
  readonly openOperations: ConcurrencyLimit;
  /** Counts the bytes of answers until their clients have taken them. */
  readonly answers: AnswerBytes;
  /** Whether a socket may be opened without a token, each operation bringing its own, as GraphiQL does it. */
  readonly tokenPerOperation: boolean;
  readonly onMasked: (operation: Operation) => void;
}

const documentId = z.object({ documentId: z.string().nullish() });

function readDocumentParams(payload: SubscribePayload) {
  const { query, extensions } = payload;
  return { query, extensions, documentId: documentId.safeParse(payload).data?.documentId };
}

const maxOperations = 32;
const initTimeoutMs = 10_000;

/**
 * graphql-transport-ws, with every operation handled by Yoga's plugins. A wrong operation gets an error; the socket and
 * its other operations go on. An operation without a valid token is refused before its document is parsed.
 */
export function createProtocol(config: ProtocolConfig) {
  const operations = new WeakMap<object, Operation>();

  async function prepareOperation(
    extra: SocketExtra,
    operation: Operation,
    openOnSocket: number,
    payload: SubscribePayload,
  ): Promise<ExecutionArgs> {
    if (openOnSocket > maxOperations) {
      throw new RateLimitedError(`A socket carries at most ${maxOperations} operations at once.`, 1_000);
    }
    const viewer = extra.session.viewer ?? (await authenticateOperation(extra, payload));
    if (viewer === null) throw new UnauthenticatedError();
    operation.viewer = viewer;
    config.answers.assertRoom(viewer);
    operation.hold(config.openOperations.enter(viewer));
    const query = config.documents.find(readDocumentParams(payload)) ?? payload.query;
    const params = {
      query,
      operationName: payload.operationName ?? undefined,
      extensions: payload.extensions ?? undefined,
    };
    const { schema, parse, validate, contextFactory } = config.yoga.getEnveloped({ operation, params });
    const document = parse(query);
    const errors = validate(schema, document);
    if (errors.length > 0) throw new AggregateError(errors);
    if (!getOperationAST(document, payload.operationName)) {
      throw new BadUserInputError('The document has no such operation.', ['operationName']);
    }
    const contextValue: object = await contextFactory();
    operations.set(contextValue, operation);
    return {
      schema,
      document,
      contextValue,
      operationName: payload.operationName,
      variableValues: payload.variables,
    };
  }

  /**
   * The viewer of one operation, by its own token. Null: it has none.
   * @throws {UnauthenticatedError} when the token is invalid; then a socket without any valid token is closed
   */
  async function authenticateOperation({ session, close }: SocketExtra, payload: SubscribePayload) {
    try {
      const token = readOperationToken(payload.extensions);
      if (token === null) return null;
      const viewer = await config.verifyToken(token);
      await session.admit(viewer);
      return viewer;
    } catch (error) {
      if (!session.authenticated && error instanceof UnauthenticatedError) close(...closeReasonOf(error));
      throw error;
    }
  }

  async function run(
    args: ExecutionArgs,
    method: 'execute' | 'subscribe',
  ): Promise<AsyncIterable<ExecutionResult> | ExecutionResult> {
    const operation = operations.get(Object(args.contextValue));
    if (!operation) throw new Error('The context was not created by this protocol.');
    let result: AsyncIterable<ExecutionResult> | ExecutionResult;
    try {
      const running = config.yoga.getEnveloped({ operation })[method](args);
      onStartedOf.get(operation)?.();
      result = await running;
    } catch (error) {
      result = { errors: operation.present([error]) };
    }
    // By then the frame of the answer is counted where it is written.
    setImmediate(() => operation.sent());
    if (isAsyncIterable(result)) return result;
    const presented = operation.presentResult(result);
    operation.finish();
    return presented;
  }

  /** The callbacks of `SocketExtra.onStarted`, by operation. */
  const onStartedOf = new WeakMap<Operation, () => void>();

  const options: ServerOptions<Record<string, unknown>, SocketExtra> = {
    connectionInitWaitTimeout: initTimeoutMs,

    async onConnect({ extra, connectionParams }) {
      const { session, close } = extra;
      try {
        const token = readConnectionToken(connectionParams);
        if (token !== null) {
          session.viewer = await config.verifyToken(token);
          await session.admit(session.viewer);
        } else if (config.tokenPerOperation) {
          // Operations may bring a token. If none does, the socket is closed.
          setTimeout(() => {
            if (!session.authenticated) close(CloseCode.Unauthorized, 'Unauthorized');
          }, initTimeoutMs).unref();
        } else {
          throw new UnauthenticatedError();
        }
        return true;
      } catch (error) {
        close(...closeReasonOf(error));
        return false;
      }
    },

    async onSubscribe({ extra, subscriptions }, _id, payload) {
      const headers = readOperationHeaders(payload.extensions);
      const operation = new Operation({
        requestId: readRequestId(headers.get('x-request-id')),
        transport: 'ws',
        traceparent: headers.get('traceparent'),
        logger: config.logger,
        statements: extra.currentTally(),
        onMasked: config.onMasked,
      });
      operation.hold(extra.session.begin());
      onStartedOf.set(operation, extra.onStarted);
      try {
        return await prepareOperation(extra, operation, Object.keys(subscriptions).length, payload);
      } catch (error) {
        const errors = operation.present(error instanceof AggregateError ? error.errors : [error]);
        operation.finish();
        operation.sent();
        if (isInvalid(error)) extra.countRefusal();
        return errors;
      }
    },

    execute: (args) => run(args, 'execute'),
    subscribe: (args) => run(args, 'subscribe'),
  };
  return makeServer(options);
}

/**
 * Whether a refused operation is wrong in itself. One that may be sent again later is not, nor is the hash of a document
 * that this process does not know: after a restart, clients with persisted queries begin so with each of theirs.
 */
function isInvalid(error: unknown): boolean {
  if (error instanceof AggregateError) return true;
  if (error instanceof GraphQLError) return error.message !== persistedQueryNotFound;
  const isTemporary =
    error instanceof RateLimitedError || error instanceof UnavailableError || error instanceof KeysUnreachableError;
  return error instanceof SwitchboardError && !isTemporary;
}
