import { StreamableHTTPError } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ErrorCode, McpError } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { AddressRefusedError } from '../../outbound/address-guard.ts';

/** Longer bodies of refusals are not looked into. */
const maxRefusalLength = 65_536;
const refusal = z.looseObject({ error: z.looseObject({ message: z.string() }) });

/**
 * An answer that is not taken: a redirect (its headers are for one origin), or one that is too long. The message is ours,
 * for the model.
 */
export class AnswerRefusedError extends Error {
  override readonly name = 'AnswerRefusedError';
}

/** @throws {AnswerRefusedError} if a response is a redirect */
export async function refuseRedirect(response: Response): Promise<void> {
  if (response.status < 300 || response.status >= 400) return;
  await response.body?.cancel();
  throw new AnswerRefusedError('The MCP server answered with a redirect, which is not followed.');
}

/**
 * Whether a server has refused the beginning of a session over streamable HTTP as one does that only speaks the older HTTP
 * with SSE: it does not take a POST at this address (MCP 2025-06-18, "Backwards Compatibility").
 */
export function maySpeakOlderProtocol(error: unknown): boolean {
  if (!(error instanceof StreamableHTTPError)) return false;
  const { code = 0 } = error;
  return code === 501 || (code >= 400 && code < 500 && ![401, 403, 407, 408, 429].includes(code));
}

/** What a model is told about a response that is larger. */
export function describeTooLong(maxBytes: number): string {
  return `The answer of the MCP server was too long: it has more than ${maxBytes} bytes.`;
}

/** What the log says of a failure. Neither the server's words nor a header or an address: they may hold secrets. */
export function describeProblem(error: unknown): { readonly problem: string; readonly code?: string | number } {
  if (error instanceof AddressRefusedError) return { problem: 'ADDRESS_NOT_ALLOWED' };
  if (error instanceof StreamableHTTPError) {
    const { code = 0 } = error;
    return { problem: code === 401 || code === 403 ? 'UNAUTHORIZED' : 'BAD_ANSWER', code };
  }
  if (error instanceof McpError) {
    return { problem: error.code === ErrorCode.RequestTimeout ? 'TIMEOUT' : 'BAD_ANSWER', code: error.code };
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return { problem: 'UNREACHABLE', code: error.code };
  }
  return { problem: 'FAILED' };
}

/** What a server has answered instead of a result, or why its answer was not taken; null: it was no answer of it. */
export function readServerError(error: unknown): string | null {
  if (error instanceof AnswerRefusedError) return error.message;
  if (error instanceof StreamableHTTPError) return readRefusal(error);
  if (!(error instanceof McpError) || error.code === ErrorCode.RequestTimeout) return null;
  // Servers may use the code of a closed connection for their own errors.
  if (error.code === ErrorCode.ConnectionClosed && /Connection closed$|connection was lost\.$/.test(error.message)) {
    return null;
  }
  return error.message;
}

/** A status that is no success: what its body says, where it is an error of the protocol, or the status. */
function readRefusal({ code = 0, message }: StreamableHTTPError): string | null {
  if (code < 400) return null;
  const body = message.slice(message.indexOf('{'));
  try {
    if (code < 500 && body.length <= maxRefusalLength) return refusal.parse(JSON.parse(body)).error.message;
  } catch {
    // It says nothing that can be read.
  }
  return `The MCP server of the tool answered with status ${code}.`;
}

/** Whether a server has refused a request because it does not know the session any more: it has not begun the request. */
export function sessionIsGone(error: unknown): boolean {
  return error instanceof StreamableHTTPError && error.code === 404;
}

/**
 * Whether a refusal may mean that the server does not know the session any more. The protocol says 404 (MCP 2025-06-18,
 * "Session Management"); servers that were restarted also say 400, 401, 500 or 503.
 */
export function maySayUnknownSession(error: unknown): error is StreamableHTTPError {
  return error instanceof StreamableHTTPError && [400, 401, 404, 500, 503].includes(error.code ?? 0);
}

/** Whether two requests were refused in the same words, apart from their ids: then it is not because of what they ask. */
export function isSameRefusal(one: unknown, other: unknown): boolean {
  if (!(one instanceof StreamableHTTPError && other instanceof StreamableHTTPError)) return false;
  const words = ({ message }: Error) => message.replace(/"id"\s*:\s*("[^"]*"|\d+|null)/g, '');
  return one.code === other.code && words(one) === words(other);
}

/**
 * Whether only the one request has failed. Otherwise the next is sent over a new connection: also after a 400, by which
 * some servers say that they do not know the session, and others that the request was wrong.
 */
export function isOfOneRequest(error: unknown): boolean {
  if (error instanceof StreamableHTTPError) return error.code !== 404 && error.code !== 400;
  if (error instanceof SyntaxError || error instanceof z.core.$ZodError) return true;
  return readServerError(error) !== null;
}
