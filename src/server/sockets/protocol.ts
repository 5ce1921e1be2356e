import { randomUUID } from 'node:crypto';
import { type ExecutionArgs, type ExecutionResult, getOperationAST } from 'graphql';
import { CloseCode, makeServer, type ServerOptions, type SubscribePayload } from 'graphql-ws';
import { isAsyncIterable } from 'graphql-yoga';
import type { Logger } from 'pino';
import { z } from 'zod';
import { BadUserInputError, RateLimitedError, UnauthenticatedError } from '../../api/errors.ts';
import { readBearerToken } from '../../auth/bearer.ts';
import { KeysUnreachableError, TokenExpiredError, type VerifyToken } from '../../auth/verify-token.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { StatementTally } from '../../database/statements.ts';
import { Operation } from '../operation/operation.ts';
import type { Yoga } from '../plugins/yoga.ts';
import type { SocketSession } from './session.ts';

/** What the protocol needs of its socket. */
export interface SocketExtra extends Record<PropertyKey, unknown> {
  readonly session: SocketSession;
  readonly close: (code: number, reason: string) => void;
  /** Counts the statements of the message that is being handled; valid until the first await. */
  readonly currentTally: () => StatementTally;
}

/** The dependencies of the protocol. */
export interface ProtocolConfig {
  readonly yoga: Yoga;
  readonly verifyToken: VerifyToken;
  readonly logger: Logger;
  readonly onMasked: (operation: Operation) => void;
}

const maxOperations = 32;
/** Unexpected condition (RFC 6455, section 7.4.1). */
const unexpected = 1011;
/** Try again later (IANA's registry of WebSocket close codes): clients reconnect, with a growing delay. */
const tryAgainLater = 1013;
const initTimeoutMs = 10_000;

const connectionParams = z.object({ authorization: z.string().optional(), Authorization: z.string().optional() });
const messageExtensions = z.object({ headers: z.record(z.string(), z.unknown()) });

/**
 * graphql-transport-ws, with every operation handled by Yoga's plugins. A wrong operation gets an error; the socket and
 * its other operations go on.
 */
export function createProtocol(config: ProtocolConfig) {
  const operations = new WeakMap<object, Operation>();

  async function prepareOperation(
    extra: SocketExtra,
    operation: Operation,
    active: number,
    payload: SubscribePayload,
  ): Promise<ExecutionArgs> {
    if (active > maxOperations) {
      throw new RateLimitedError(`A socket carries at most ${maxOperations} operations at once.`, 1_000);
    }
    operation.viewer = extra.session.viewer ?? (await authenticateOperation(extra.session, payload));
    const params = { query: payload.query, operationName: payload.operationName ?? undefined };
    const { schema, parse, validate, contextFactory } = config.yoga.getEnveloped({ operation, params });
    const document = parse(payload.query);
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

  /** The viewer of one operation: GraphiQL sends the headers of its editor with each. */
  async function authenticateOperation(session: SocketSession, payload: SubscribePayload): Promise<Viewer | null> {
    const headers = messageExtensions.safeParse(payload.extensions).data?.headers ?? {};
    const [, header] = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization') ?? [];
    const token = typeof header === 'string' ? readBearerToken(header) : null;
    if (token === null) return null;
    const viewer = await config.verifyToken(token);
    await session.admit(viewer);
    return viewer;
  }

  async function run(
    args: ExecutionArgs,
    method: 'execute' | 'subscribe',
  ): Promise<AsyncIterable<ExecutionResult> | ExecutionResult> {
    const operation = operations.get(Object(args.contextValue));
    if (!operation) throw new Error('The context was not created by this protocol.');
    let result: AsyncIterable<ExecutionResult> | ExecutionResult;
    try {
      result = await config.yoga.getEnveloped({ operation })[method](args);
    } catch (error) {
      result = { errors: operation.present([error]) };
    }
    if (isAsyncIterable(result)) return result;
    const presented = operation.presentResult(result);
    operation.finish();
    return presented;
  }

  const options: ServerOptions<Record<string, unknown>, SocketExtra> = {
    connectionInitWaitTimeout: initTimeoutMs,

    async onConnect({ extra, connectionParams: payload }) {
      const { session, close } = extra;
      try {
        const params = connectionParams.safeParse(payload ?? {}).data;
        const token = readBearerToken(params?.authorization ?? params?.Authorization, 'bare');
        if (token !== null) {
          session.viewer = await config.verifyToken(token);
          await session.admit(session.viewer);
        } else {
          // Operations may bring a token. If none does, the socket is closed.
          setTimeout(() => {
            if (!session.authenticated) close(CloseCode.Unauthorized, 'Unauthorized');
          }, initTimeoutMs).unref();
        }
        return true;
      } catch (error) {
        close(...closeReasonOf(error));
        return false;
      }
    },

    async onSubscribe({ extra, subscriptions }, _id, payload) {
      const operation = new Operation({
        requestId: randomUUID(),
        transport: 'ws',
        logger: config.logger,
        statements: extra.currentTally(),
        onMasked: config.onMasked,
      });
      try {
        return await prepareOperation(extra, operation, Object.keys(subscriptions).length, payload);
      } catch (error) {
        const errors = operation.present(error instanceof AggregateError ? error.errors : [error]);
        operation.finish();
        return errors;
      }
    },

    execute: (args) => run(args, 'execute'),
    subscribe: (args) => run(args, 'subscribe'),
  };
  return makeServer(options);
}

function closeReasonOf(error: unknown): [code: number, reason: string] {
  // Clients reconnect after these, with a growing delay; the cause may be gone by then.
  if (error instanceof RateLimitedError || error instanceof KeysUnreachableError) return [tryAgainLater, error.message];
  // Clients reconnect after 4403 and give up after 4401: an expired token can be renewed, an invalid one stays invalid.
  if (error instanceof TokenExpiredError) return [CloseCode.Forbidden, error.message];
  if (error instanceof UnauthenticatedError) return [CloseCode.Unauthorized, error.message];
  return [unexpected, 'Something went wrong.'];
}
