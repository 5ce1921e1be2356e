import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { SocketClient } from '../support/chat.ts';

/** A snapshot as the API returns it. */
export interface ReturnedSnapshot {
  readonly id: string;
  readonly block: string;
  readonly truncated: boolean;
  readonly redactions: number;
  readonly references: readonly { readonly name: string; readonly id: string }[];
  readonly createdAt: string;
  readonly expiresAt: string;
}

export const createDocument = `mutation ($input: ContextSnapshotInput!) {
  createContextSnapshot(input: $input) { id block truncated redactions references { name id } createdAt expiresAt }
}`;

/** Makes a snapshot; has to work. */
export async function createSnapshot(
  user: Pick<SocketClient, 'ask'>,
  input: Record<string, unknown>,
): Promise<ReturnedSnapshot> {
  return (await user.ask(createDocument, { input })).createContextSnapshot;
}

/** The row id of a snapshot. */
export function rowIdOf({ id }: ReturnedSnapshot): string {
  return id.slice('ctx_'.length);
}

/** What instructions say between the lines with the code, and after them. */
export function readDelimited(instructions: string) {
  const lines = instructions.split('\n');
  const begin = lines.findIndex((line) => /^BEGIN CONTEXT [0-9a-f]{32}$/.test(line));
  const code = lines[begin]?.slice('BEGIN CONTEXT '.length) ?? '';
  const ends = lines.flatMap((line, index) => (begin >= 0 && line === `END CONTEXT ${code}` ? [index] : []));
  const [end = -1] = ends;
  if (begin < 0) return { code, ends: 0, data: [], after: [] };
  return { code, ends: ends.length, data: lines.slice(begin + 1, end), after: lines.slice(end + 1) };
}

/** A system of a tenant that answers as a test says. */
export async function startSystem(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const received: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    received.push(request);
    request.resume();
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
