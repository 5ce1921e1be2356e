import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { expect, test } from 'vitest';
import { readToolList } from '../../src/tools/mcp/list.ts';
import { startMcpServer, type TestTool } from '../support/mcp/server.ts';

async function listFrom(tools: readonly TestTool[]) {
  await using server = await startMcpServer(tools);
  const client = new Client({ name: 'test', version: '1' });
  // Its optional callbacks are typed without undefined.
  await client.connect(new StreamableHTTPClientTransport(new URL(server.url)) as never);
  const list = await readToolList(client, AbortSignal.timeout(30_000), []);
  await client.close();
  return list;
}

test('An MCP tool is idempotent if its server says that it changes nothing, or that it may be repeated', async () => {
  const annotated = (name: string, annotations: unknown) => ({ name, annotations });
  const { tools } = await listFrom([
    annotated('a', { idempotentHint: true }),
    annotated('b', { readOnlyHint: true }),
    annotated('c', { destructiveHint: false }),
    annotated('d', { idempotentHint: 'yes' }),
    annotated('e', null),
    { name: 'f' },
  ]);
  expect(tools.map(({ name, isIdempotent }) => [name, isIdempotent])).toEqual([
    ['a', true],
    ['b', true],
    ['c', false],
    ['d', false],
    ['e', false],
    ['f', false],
  ]);
});
