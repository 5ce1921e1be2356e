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
import { Operation } from '../operation.ts';
import { presentResult } from '../plugins/results.ts';
import type { Yoga } from '../plugins/yoga.ts';
import type { SocketSession } from './session.ts';

/** What the protocol needs to know of the socket that it speaks through. */
export interface SocketExtra extends Record<PropertyKey, unknown> {
  readonly session: SocketSession;
  readonly close: (code: number, reason: string) => void;
  /** The tally of the message that is being handled; good until the first await. */
  readonly currentTally: () => StatementTally;
}

/** What the protocol is spoken for. */
export interface ProtocolConfig {
  readonly yoga: Yoga;
  readonly verifyToken: VerifyToken;
  readonly logger: Logger;
  readonly onMasked: (operation: Operation) => void;
}

const maxOperations = 32;
/** Unexpected condition (RFC 6455, section 7.4.1). */
const unexpected = 1011;
/** Try again later (IANA's registry of WebSocket close codes): clients do, with a growing pause. */
const tryAgainLater = 1013;
const initTimeoutMs = 10_000;

const connectionParams = z.object({ authorization: z.string().optional(), Authorization: z.string().optional() });
const messageExtensions = z.object({ headers: z.record(z.string(), z.unknown()) });

/**
 * graphql-transport-ws, with every operation through Yoga's plugins. Whoever is wrong hears it as an error of that
 * operation; the socket and its other operations live on.
 */
export function createProtocol(config: ProtocolConfig) {
  const operations = new WeakMap<object, Operation>();

  async function onSubscribe(
    extra: SocketExtra,
    operation: Operation,
    active: number,
    payload: SubscribePayload,
  ): Promise<ExecutionArgs> {
    if (active > maxOperations) {
      throw new RateLimitedError(`A socket carries at most ${maxOperations} operations at once.`, 1_000);
    }
    operation.viewer = extra.session.viewer ?? (await identify(extra.session, payload));
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

  /** As GraphiQL does it: the headers of its editor come with each operation. */
  async function identify(session: SocketSession, payload: SubscribePayload): Promise<Viewer | null> {
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
    how: 'execute' | 'subscribe',
  ): Promise<AsyncIterable<ExecutionResult> | ExecutionResult> {
    const operation = operations.get(Object(args.contextValue));
    if (!operation) throw new Error('A context that this protocol did not make.');
    let result: AsyncIterable<ExecutionResult> | ExecutionResult;
    try {
      result = await config.yoga.getEnveloped({ operation })[how](args);
    } catch (error) {
      result = { errors: operation.present([error]) };
    }
    if (isAsyncIterable(result)) return result;
    const presented = presentResult(result, operation);
    operation.finish();
    return presented;
  }

  const options: ServerOptions<Record<string, unknown>, SocketExtra> = {
    connectionInitWaitTimeout: initTimeoutMs,

    async onConnect({ extra, connectionParams: given }) {
      const { session, close } = extra;
      try {
        const params = connectionParams.safeParse(given ?? {}).data;
        const token = readBearerToken(params?.authorization ?? params?.Authorization, 'bare');
        if (token !== null) {
          session.viewer = await config.verifyToken(token);
          await session.admit(session.viewer);
        } else {
          // Nobody yet. An operation will say who asks; without one, the socket is not kept.
          setTimeout(() => session.occupied || close(CloseCode.Unauthorized, 'Nobody came'), initTimeoutMs).unref();
        }
        return true;
      } catch (error) {
        close(...readRefusal(error));
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
        return await onSubscribe(extra, operation, Object.keys(subscriptions).length, payload);
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

function readRefusal(error: unknown): [code: number, reason: string] {
  // Clients come back after these, with a growing pause; what is wrong may be over by then.
  if (error instanceof RateLimitedError || error instanceof KeysUnreachableError) return [tryAgainLater, error.message];
  // They come back after 4403 and give up on 4401: an expired token can be had anew, a bad one stays bad.
  if (error instanceof TokenExpiredError) return [CloseCode.Forbidden, error.message];
  if (error instanceof UnauthenticatedError) return [CloseCode.Unauthorized, error.message];
  return [unexpected, 'Something went wrong.'];
}
