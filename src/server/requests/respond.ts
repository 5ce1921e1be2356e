import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../../api/errors.ts';

/** Sends a JSON body. */
export function respondJson(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) };
  response.writeHead(status, headers).end(text);
}

/** Sends an error in the form that GraphQL clients can read. */
export function respondError(response: ServerResponse, status: number, code: ErrorCode, message: string): void {
  respondJson(response, status, formatError(code, message));
}

/** Sends the same error on a connection without a response object, and closes it: after a bad upgrade or parse error. */
export function respondErrorAndClose(connection: Duplex, status: number, code: ErrorCode, message: string): void {
  connection.on('error', () => {});
  const body = JSON.stringify(formatError(code, message));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'connection: close',
    'cache-control: no-store',
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    ...(code === 'UNAUTHENTICATED' ? ['www-authenticate: Bearer'] : []),
  ];
  connection.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function formatError(code: ErrorCode, message: string) {
  return { errors: [{ message, extensions: { code } }] };
}
