/** The codes that an error can carry in `extensions.code`; clients branch on them. */
export type ErrorCode =
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'BAD_USER_INPUT'
  | 'CONFLICT'
  | 'EVENTS_EXPIRED'
  | 'RATE_LIMITED'
  | 'QUERY_TOO_COMPLEX'
  | 'PROVIDER_FAILED'
  | 'UNAVAILABLE'
  | 'INTERNAL';

/** The HTTP status of an answer whose whole request failed with the code. */
export const httpStatusOf: Readonly<Record<ErrorCode, number>> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  BAD_USER_INPUT: 400,
  CONFLICT: 409,
  EVENTS_EXPIRED: 410,
  RATE_LIMITED: 429,
  QUERY_TOO_COMPLEX: 400,
  PROVIDER_FAILED: 502,
  UNAVAILABLE: 503,
  INTERNAL: 500,
};

/**
 * An error whose message is written for the caller. Everything else that is thrown is masked as INTERNAL,
 * once, at the edge (server/errors.ts).
 */
export abstract class SwitchboardError extends Error {
  /** Stable; clients branch on it. */
  abstract readonly code: ErrorCode;

  /** What goes into `extensions` beside the code. */
  get details(): Record<string, unknown> {
    return {};
  }
}

/** Nobody, or somebody whose token does not hold. */
export class UnauthenticatedError extends SwitchboardError {
  override readonly name = 'UnauthenticatedError';
  readonly code = 'UNAUTHENTICATED';

  constructor(message = 'This needs a valid access token.') {
    super(message);
  }
}

/** It exists, and it belongs to somebody else. */
export class ForbiddenError extends SwitchboardError {
  override readonly name = 'ForbiddenError';
  readonly code = 'FORBIDDEN';
}

/** There is no such thing. */
export class NotFoundError extends SwitchboardError {
  override readonly name = 'NotFoundError';
  readonly code = 'NOT_FOUND';
}

/** An argument is wrong; `argument` names it, e.g. `['input', 'content']`: `extensions.path` for clients. */
export class BadUserInputError extends SwitchboardError {
  override readonly name = 'BadUserInputError';
  readonly code = 'BAD_USER_INPUT';
  /** Not named `path`: graphql-js takes any error with an array there for one that it has located already. */
  readonly argument: readonly (string | number)[];

  constructor(message: string, argument: readonly (string | number)[]) {
    super(message);
    this.argument = argument;
  }

  override get details() {
    return { path: this.argument };
  }
}

/** It would contradict what is there; `details` names what is in the way, if it is the active run or another contact. */
export class ConflictError extends SwitchboardError {
  override readonly name = 'ConflictError';
  readonly code = 'CONFLICT';
  readonly #inTheWay: { readonly runId?: string; readonly contactId?: string };

  /** @param inTheWay the id of the active run, or of a contact */
  constructor(message: string, inTheWay: string | { readonly contactId?: string } = {}) {
    super(message);
    this.#inTheWay = typeof inTheWay === 'string' ? { runId: inTheWay } : inTheWay;
  }

  override get details() {
    return { ...this.#inTheWay };
  }
}

/** The events after the position that a reader gave are not kept any more; it has to read the rows again. */
export class EventsExpiredError extends SwitchboardError {
  override readonly name = 'EventsExpiredError';
  readonly code = 'EVENTS_EXPIRED';
  readonly lastEventSeq: number;

  /**
   * @param lastEventSeq the seq of the last event so far
   * @param message what is gone, and what to do instead; absent: events of conversations
   */
  constructor(lastEventSeq: number, message?: string) {
    super(
      message ??
        'Events after this position are not kept any more. Read the conversations again, with lastEventSeq, and subscribe after it.',
    );
    this.lastEventSeq = lastEventSeq;
  }

  override get details() {
    return { lastEventSeq: this.lastEventSeq };
  }
}

/** Too often; try again after `retryAfterMs` milliseconds. */
export class RateLimitedError extends SwitchboardError {
  override readonly name = 'RateLimitedError';
  readonly code = 'RATE_LIMITED';
  readonly retryAfterMs: number;
  /** When a budget of a day begins anew; null: the limit is another one. */
  readonly resetAt: Date | null;

  constructor(message: string, retryAfterMs: number, resetAt: Date | null = null) {
    super(message);
    this.retryAfterMs = retryAfterMs;
    this.resetAt = resetAt;
  }

  override get details() {
    const reset = this.resetAt === null ? {} : { resetAt: this.resetAt.toISOString() };
    return { retryAfterMs: this.retryAfterMs, ...reset };
  }
}

/**
 * The server cannot do it now: it is stopping, or its database does not answer. Try again after `retryAfterMs`
 * milliseconds, with the same idempotency key.
 */
export class UnavailableError extends SwitchboardError {
  override readonly name = 'UnavailableError';
  readonly code = 'UNAVAILABLE';
  readonly retryAfterMs: number;

  constructor(message: string, options: ErrorOptions & { readonly retryAfterMs?: number } = {}) {
    super(message, options);
    this.retryAfterMs = options.retryAfterMs ?? 1_000;
  }

  override get details() {
    return { retryAfterMs: this.retryAfterMs };
  }
}

/** The document asks for more than one request may cost. */
export class QueryTooComplexError extends SwitchboardError {
  override readonly name = 'QueryTooComplexError';
  readonly code = 'QUERY_TOO_COMPLEX';
  readonly #measured: { readonly cost: number; readonly limit: number } | undefined;

  /** @param measured what the operation costs, if that is what is too high */
  constructor(message: string, measured?: { readonly cost: number; readonly limit: number }) {
    super(message);
    this.#measured = measured;
  }

  override get details() {
    return { ...this.#measured };
  }
}

/** What was wrong with a provider of speech, told apart for clients. */
export type ProviderProblem =
  | 'INVALID_KEY'
  | 'UNKNOWN_MODEL'
  | 'UNREACHABLE'
  | 'ADDRESS_NOT_ALLOWED'
  | 'TIMEOUT'
  | 'RATE_LIMITED'
  | 'BAD_ANSWER'
  | 'OTHER';

/**
 * A provider that the answer takes did not do its part. (That a turn's model failed is an event of its run, and no error.)
 * `cause` is for the log: what the provider said is not repeated to clients.
 */
export class ProviderError extends SwitchboardError {
  override readonly name = 'ProviderError';
  readonly code = 'PROVIDER_FAILED';
  readonly problem: ProviderProblem;
  /** Whether the same request may work when it is tried again. */
  readonly retryable: boolean;

  constructor(message: string, from: { problem: ProviderProblem; retryable: boolean; cause?: unknown }) {
    super(message, from.cause === undefined ? {} : { cause: from.cause });
    this.problem = from.problem;
    this.retryable = from.retryable;
  }

  override get details() {
    return { problem: this.problem, retryable: this.retryable };
  }
}

/** Why the server did not start, in words for the one who started it. */
export class StartError extends Error {
  override readonly name = 'StartError';
}
