import { expect, test } from 'vitest';
import { MessageLines } from '../../src/tools/mcp/lines.ts';

const answer = (id: number, length: number) => ({ result: { text: 'x'.repeat(length) }, jsonrpc: '2.0', id });

test('The answer to an MCP call is bounded by its server’s limit, a list by that of lists', () => {
  const lines = new MessageLines(1_000);
  lines.noteSent({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
  lines.noteSent({ jsonrpc: '2.0', id: 2, method: 'tools/call' });
  for (const id of [1, 2]) lines.append(Buffer.from(`${JSON.stringify(answer(id, 5_000))}\n`));
  expect(lines.readMessage()).toEqual(answer(1, 5_000));
  const error = { code: -32_603, message: 'The answer of the MCP server was too long: it has more than 1000 bytes.' };
  expect(lines.readMessage()).toEqual({ jsonrpc: '2.0', id: 2, error });
  // The list was answered: that id is nobody's any more.
  lines.append(Buffer.from(`${JSON.stringify(answer(1, 5_000))}\n${JSON.stringify(answer(2, 10))}\n`));
  expect(lines.readMessage()).toEqual({ jsonrpc: '2.0', id: 1, error });
  expect(lines.readMessage()).toEqual(answer(2, 10));
  expect(lines.readMessage()).toBeNull();
});

test('A list of MCP tools beyond the limit of any list is an error as well', () => {
  const lines = new MessageLines(1_000);
  lines.noteSent({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
  const line = Buffer.from(`${JSON.stringify(answer(1, 5_000_000))}\n`);
  for (let at = 0; at < line.length; at += 65_536) lines.append(line.subarray(at, at + 65_536));
  expect(lines.readMessage()).toMatchObject({ id: 1, error: { message: expect.stringContaining('4194304 bytes') } });
});
