import { GraphQLError } from 'graphql';
import { type ErrorCode, httpStatusOf, SwitchboardError, UnavailableError } from '../../api/errors.ts';
import { isUnavailable } from '../../database/errors.ts';
import { isRecord } from '../../engine/json.ts';

/** Status and headers of the HTTP response to a request that failed altogether. */
export interface HttpShape {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Statuses that differ from the one of the code, such as 413. Stored beside the errors, so that they are never sent. */
const shapes = new WeakMap<GraphQLError, HttpShape>();
const presented = new WeakSet<GraphQLError>();

/**
 * Turns anything that was thrown into the error that a client may see: the only place where errors are masked.
 *
 * - A SwitchboardError keeps its message, and shows its code and details.
 * - An error of graphql-js or Yoga about the request itself (syntax, validation, variables, arguments) is BAD_USER_INPUT,
 *   with the path of the variable if the message names one.
 * - Everything else becomes INTERNAL with the request id; `onMasked` gets the cause.
 */
export function presentError(thrown: unknown, requestId: string, onMasked: (cause: unknown) => void): GraphQLError {
  if (thrown instanceof GraphQLError && presented.has(thrown)) return thrown;
  const located = thrown instanceof GraphQLError ? thrown : null;
  const cause = asUnavailable(findCause(thrown));
  const error =
    cause instanceof SwitchboardError
      ? rewrite(located, cause.message, { code: cause.code, ...cause.details })
      : cause instanceof GraphQLError && isAboutRequest(located ?? cause, cause)
        ? presentRequestError(located, cause)
        : rewrite(located, 'Something went wrong.', { code: 'INTERNAL', requestId });
  if (codeOf(error) === 'INTERNAL' || (cause instanceof UnavailableError && cause.cause !== undefined)) onMasked(cause);
  presented.add(error);
  return error;
}

/** A database that does not answer is no failure of this server: the same request may work in a moment. */
function asUnavailable(cause: unknown): unknown {
  if (cause instanceof SwitchboardError || cause instanceof GraphQLError || !isUnavailable(cause)) return cause;
  return new UnavailableError('The server cannot answer now. Try again in a moment.', { cause });
}

/** The code of an error that was presented. */
export function codeOf(error: GraphQLError): ErrorCode {
  return readCode(error) ?? 'INTERNAL';
}

/** The HTTP status and headers for a request that failed altogether with these errors; the first one decides. */
export function shapeFailure(errors: readonly GraphQLError[]): HttpShape {
  const [first] = errors;
  if (first === undefined) return { status: 500, headers: {} };
  const code = codeOf(first);
  const headers: Record<string, string> = code === 'UNAUTHENTICATED' ? { 'www-authenticate': 'Bearer' } : {};
  const { retryAfterMs } = first.extensions;
  if (typeof retryAfterMs === 'number') headers['retry-after'] = String(Math.ceil(retryAfterMs / 1_000));
  return shapes.get(first) ?? { status: httpStatusOf[code], headers };
}

/** Whether nothing of the request worked: no data, or every root field null because of an error. */
export function failedWhole(data: unknown, errors: readonly GraphQLError[]): boolean {
  if (errors.length === 0) return false;
  if (data === null || data === undefined || typeof data !== 'object') return true;
  const failed = new Set(errors.map((error) => error.path?.[0]));
  return Object.entries(data).every(([field, value]) => value === null && failed.has(field));
}

/** The error inside: graphql-js wraps what a resolver threw, sometimes more than once. */
function findCause(thrown: unknown): unknown {
  let cause = thrown;
  while (cause instanceof GraphQLError && cause.originalError) cause = cause.originalError;
  return cause;
}

/**
 * Whether an error is about the request: it has no path (nothing was resolved yet), or it is about an argument in the
 * document, or it carries a code on purpose. If a value of ours does not fit its type, none of this holds: that is a bug
 * of the server, and its message is not shown.
 */
function isAboutRequest(located: GraphQLError, cause: GraphQLError): boolean {
  return located.path === undefined || cause.message.startsWith('Argument "') || readCode(cause) !== null;
}

function presentRequestError(located: GraphQLError | null, cause: GraphQLError): GraphQLError {
  const code = readCode(cause) ?? 'BAD_USER_INPUT';
  // The outer message says which variable the inner one is about.
  const { message } = located ?? cause;
  const path = findVariablePath(message, cause.message);
  const shown = hideValues(message, cause.message);
  const error = rewrite(located ?? cause, shown, path && code === 'BAD_USER_INPUT' ? { code, path } : { code });
  const http = cause.extensions.http;
  if (isRecord(http) && typeof http.status === 'number') {
    const headers = isRecord(http.headers) ? http.headers : {};
    const written = Object.entries(headers).map(([name, value]) => [name, String(value)]);
    shapes.set(error, { status: http.status, headers: Object.fromEntries(written) });
  }
  return error;
}

/**
 * Removes the values that graphql-js puts into its messages: they may contain a key, and messages end up in logs and bug
 * reports. `Variable "$input" got invalid value { apiKey: "…" } at "input.llm"; Field "model" …` keeps its path and the
 * reason. These are all messages of graphql 16.15 that contain a value, by their source: execution/values.js (variables
 * and arguments), type/scalars.js, type/definition.js (enums), validation's ValuesOfCorrectTypeRule,
 * utilities/coerceInputValue.js (variables, whose keys may be anything), language/parser.js. A test in errors.test.ts
 * provokes each of them, so that an upgrade of graphql cannot change one unnoticed.
 * @param reason the message of the inner error, with which the whole message ends
 */
function hideValues(message: string, reason: string): string {
  const [, variable] = /^(Variable "\$\w+" got )invalid value /.exec(message) ?? [];
  const at = findPathInMessage(message, reason);
  const hidden = reason
    .replace(/^(Argument "\w+" has) invalid value [\s\S]*$/, '$1 an invalid value.')
    .replace(/^((?:\w+|Enum "\w+") cannot represent [\w -]*value): [\s\S]*$/, '$1.')
    .replace(/^Value "[\s\S]*" does not exist in/, 'The value does not exist in')
    .replace(/^(Expected value of type "[^"]+"), found [\s\S]*$/, '$1.')
    .replace(/^Field "(?!\w{1,255}" )[\s\S]*" is not defined by type/, 'A field of the value is not defined by type')
    .replace(/(, found|: Unexpected) (?:Block)?String "[\s\S]*$/, '$1 a string.')
    .replace(/(, found|: Unexpected) (?:Int|Float) "[\s\S]*$/, '$1 a number.');
  return variable === undefined ? hidden : `${variable}an invalid value${at && ` at "${at}"`}; ${hidden}`;
}

/** The path of the wrong value in its variable: it stands just before the reason, after the value. */
function findPathInMessage(message: string, reason: string): string {
  return / at "([\w.[\]]+)"$/.exec(message.slice(0, -`; ${reason}`.length))?.[1] ?? '';
}

/** `Variable "$input" got invalid value … at "input.after"; Field "content" of required type …` */
function findVariablePath(message: string, reason: string): (string | number)[] | null {
  const [, variable] = /^Variable "\$(\w+)"/.exec(message) ?? [];
  if (variable === undefined) return null;
  const path = (findPathInMessage(message, reason) || variable).split(/[.[\]]+/).filter((part) => part !== '');
  const [, field] = /^Field "(\w+)" (?:of required type|is not defined)/.exec(reason) ?? [];
  if (field !== undefined) path.push(field);
  return path.map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}

function rewrite(located: GraphQLError | null, message: string, extensions: Record<string, unknown>): GraphQLError {
  const { nodes = null, source = null, positions = null, path = null } = located ?? {};
  return new GraphQLError(message, { nodes, source, positions, path, extensions });
}

function readCode(error: GraphQLError): ErrorCode | null {
  const code = error.extensions.code;
  return typeof code === 'string' && isErrorCode(code) ? code : null;
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(httpStatusOf, code);
}
