import { expect, test } from 'vitest';
import { MessageLines } from '../../src/tools/mcp/lines.ts';
import { OpenCalls } from '../../src/tools/mcp/open-calls.ts';

const answer = (id: number, length: number) => ({ result: { text: 'x'.repeat(length) }, jsonrpc: '2.0', id });

test('the answer to a call is bounded by its server’s limit, a list by that of lists', () => {
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

test('a list of more than any list may have is an error as well', () => {
  const lines = new MessageLines(1_000);
  lines.noteSent({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
  const line = Buffer.from(`${JSON.stringify(answer(1, 5_000_000))}\n`);
  for (let at = 0; at < line.length; at += 65_536) lines.append(line.subarray(at, at + 65_536));
  expect(lines.readMessage()).toMatchObject({ id: 1, error: { message: expect.stringContaining('4194304 bytes') } });
});

test('on a server for every tenant, one tenant leaves room for others; on its own, it may have all', () => {
  const viewer = (tenantId: string, userId: string) => ({ tenantId, userId, roles: [], expiresAt: 0 });
  for (const [shared, most] of [
    [true, 128],
    [false, 512],
  ] as const) {
    const calls = new OpenCalls(shared);
    const begin = (tenant: string) =>
      Array.from({ length: 1_000 }, (_, n) => calls.begin(viewer(tenant, `user ${n}`))).filter((why) => why === null);
    expect(begin('acme')).toHaveLength(most);
    expect(begin('other')).toHaveLength(shared ? most : 0);
    expect(calls.size).toBe(shared ? 2 * most : most);
    calls.end(viewer('acme', 'user 0'));
    expect(calls.begin(viewer('acme', 'user 0'))).toBeNull();
    expect(calls.begin(viewer('acme', 'user 1'))).toContain('busy');
  }
});
