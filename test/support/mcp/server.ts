import { randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';

/** A call that came to the server. */
interface ReceivedCall {
  readonly name: string;
  readonly arguments: unknown;
  readonly meta: Readonly<Record<string, unknown>>;
  readonly headers: IncomingHttpHeaders;
}

/** A tool as a test lists it; its schema takes anything unless one is given. */
export interface TestTool {
  readonly name: string;
  readonly description?: string;
  readonly inputSchema?: unknown;
  readonly annotations?: unknown;
  readonly execution?: unknown;
}

/** An MCP server over streamable HTTP, as a test wants it. */
export interface TestMcpServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** What it lists. */
  tools: readonly TestTool[];
  /** How many tools are on a page of the list. */
  pageSize: number;
  /** What a call answers: a result of tools/call. */
  onCall: (call: ReceivedCall) => unknown;
  /** Headers that a request must have; others are answered with 401. */
  requiredHeaders: Readonly<Record<string, string>>;
  /** The status for requests of a session that it does not know. */
  unknownSessionStatus: number;
  readonly calls: ReceivedCall[];
  /** How often the list was read: first pages. */
  lists: number;
  /** Requests of any kind, in all. */
  requests: number;
  /** Tells all clients that the list has changed. */
  announceChange(): Promise<void>;
  /** Resolves when so many calls have come. */
  called(count: number): Promise<void>;
  /** Forgets all sessions, as a server behind a proxy that was restarted: no connection breaks off. */
  forget(): void;
  /** Dies: all connections break off, and there is nobody at its port any more. */
  kill(): Promise<void>;
  /** Comes back at the same port, with no memory of any session. */
  revive(): Promise<void>;
}

/** Starts an MCP server in this process. */
export async function startMcpServer(tools: readonly TestTool[]): Promise<TestMcpServer> {
  const sessions = new Map<string, { readonly server: Server; readonly transport: StreamableHTTPServerTransport }>();
  const waiting = new Set<() => void>();

  const openSession = async () => {
    const server = new Server({ name: 'test', version: '1' }, { capabilities: { tools: { listChanged: true } } });
    server.setRequestHandler(ListToolsRequestSchema, ({ params }) => {
      const from = Number(params?.cursor ?? 0);
      if (from === 0) mcp.lists += 1;
      const page = mcp.tools
        .slice(from, from + mcp.pageSize)
        .map((tool) => ('inputSchema' in tool ? tool : { inputSchema: { type: 'object' }, ...tool }));
      const next = from + mcp.pageSize;
      // What a test lists may be against the protocol.
      return { tools: page, ...(next < mcp.tools.length ? { nextCursor: String(next) } : {}) } as never;
    });
    server.setRequestHandler(CallToolRequestSchema, async ({ params }, { requestInfo }) => {
      const { name, arguments: args, _meta: meta = {} } = params;
      const call = { name, arguments: args, meta, headers: { ...requestInfo?.headers } };
      mcp.calls.push(call);
      for (const look of waiting) look();
      return (await mcp.onCall(call)) as never;
    });
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => void sessions.set(id, { server, transport }),
    });
    // Its optional callbacks are typed without undefined.
    await server.connect(transport as never);
    return transport;
  };

  const http = createServer(async (request, response) => {
    mcp.requests += 1;
    const wrong = Object.entries(mcp.requiredHeaders).some(([name, value]) => request.headers[name] !== value);
    if (wrong) return void response.writeHead(401).end('You are not welcome, sk-echo-of-a-secret.');
    const id = request.headers['mcp-session-id'];
    const known = typeof id === 'string' ? sessions.get(id) : undefined;
    if (typeof id === 'string' && !known)
      return void response.writeHead(mcp.unknownSessionStatus).end('No such session.');
    await (known?.transport ?? (await openSession())).handleRequest(request, response);
  });
  const listen = (port: number) => new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const { port } = http.address() as AddressInfo;

  const mcp: TestMcpServer = {
    url: `http://127.0.0.1:${port}/mcp`,
    port,
    tools,
    pageSize: Number.POSITIVE_INFINITY,
    onCall: () => ({ content: [{ type: 'text', text: 'Done.' }] }),
    requiredHeaders: {},
    unknownSessionStatus: 404,
    calls: [],
    lists: 0,
    requests: 0,
    announceChange: async () => {
      for (const { server } of sessions.values()) {
        // Sessions that are over have nobody to tell.
        await server.sendToolListChanged().catch(() => {});
      }
    },
    called: (count) =>
      new Promise((resolve) => {
        const look = () => mcp.calls.length >= count && resolve();
        waiting.add(look);
        look();
      }),
    forget: () => sessions.clear(),
    kill: async () => {
      if (!http.listening) return;
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      http.closeAllConnections();
      sessions.clear();
      await closed;
    },
    revive: async () => {
      if (!http.listening) await listen(port);
    },
    [Symbol.asyncDispose]: () => mcp.kill(),
  };
  return mcp;
}
