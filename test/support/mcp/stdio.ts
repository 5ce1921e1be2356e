import { connect } from 'node:net';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';

/** An MCP server over stdio that says its process id, or dies in mid-call. The tests start it as a process. */
const server = new Server({ name: 'mortal', version: '1' }, { capabilities: { tools: {} } });
server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: ['pid', 'die', 'flood', 'hold', 'release'].map((name) => ({ name, inputSchema: { type: 'object' as const } })),
}));
const released = Promise.withResolvers<void>();
server.setRequestHandler(CallToolRequestSchema, async ({ params }) => {
  if (params.name === 'hold') await released.promise;
  if (params.name === 'release') released.resolve();
  if (params.name === 'die') process.exit(1);
  const text = params.name === 'flood' ? 'x'.repeat(1_100_000) : JSON.stringify({ pid: process.pid });
  return { content: [{ type: 'text' as const, text }] };
});
// A witness is connected to as long as it lives, and it then takes no notice of who asks it to end.
if (process.env.WITNESS_PORT) {
  connect(Number(process.env.WITNESS_PORT), '127.0.0.1');
  process.on('SIGTERM', () => {});
}
// It outlives the end of its input: who starts it has to end it.
setInterval(() => {}, 1_000);
await server.connect(new StdioServerTransport());
