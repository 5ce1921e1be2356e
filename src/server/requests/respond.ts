import type { ServerResponse } from 'node:http';
import type { ErrorCode } from '../../api/errors.ts';

/** Sends a JSON body. */
export function respondJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
}

/** Sends an error in the form that GraphQL clients can read. */
export function respondError(response: ServerResponse, status: number, code: ErrorCode, message: string): void {
  respondJson(response, status, { errors: [{ message, extensions: { code } }] });
}
