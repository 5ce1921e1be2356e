import type { Viewer } from '../../auth/viewer.ts';
import { createDial } from '../../outbound/dial.ts';
import type { Tool } from '../contract/tool.ts';
import type { HttpToolDefinition } from '../http/definition.ts';
import { createHttpTool, type HttpToolNetwork } from '../http/http-tool.ts';
import type { McpDefinition } from '../mcp/config.ts';
import type { McpStatus } from '../mcp/connection.ts';
import { createMcpTools } from '../mcp/mcp-tool.ts';
import { McpPool } from '../mcp/pool.ts';
import { builtInTools, wrapBuiltIn } from './builtin.ts';
import type { ToolDependencies } from './deps.ts';
import { loadTenantTools, type TenantTools } from './load.ts';

/** How long an MCP server that is still connecting is waited for: by a turn, and by a person who lists or names tools. */
const connectWaitMs = { turn: 2_000, person: 12_000 } as const;
type Waiting = keyof typeof connectWaitMs;

/**
 * All tools: the built-in ones, the operator's, and each tenant's own. One for the process.
 *
 * A name belongs to one tool. If two sources use the same name, the first of these has it: built in, the operator's HTTP
 * tools, the tenant's, the operator's MCP servers, the tenant's. An MCP tool then gets another name, and an HTTP tool is
 * left out.
 */
export class ToolRegistry implements AsyncDisposable {
  readonly deps: ToolDependencies;
  /** The tools that are the same for every tenant; no other tool can have their names. */
  readonly #fixed: ReadonlyMap<string, Tool>;
  readonly #network: HttpToolNetwork;
  readonly #httpTools = new WeakMap<HttpToolDefinition, Tool>();
  readonly #pool: McpPool;

  constructor(deps: ToolDependencies) {
    const { logger, guard, operator } = deps;
    this.deps = deps;
    this.#network = {
      logger,
      fetchGuarded: createDial({ guard }),
      fetchOnce: createDial({ guard, keepAlive: false }),
      sharesTrace: (url) => guard.isListed(url),
    };
    const unguarded = {
      logger,
      fetchGuarded: createDial(),
      fetchOnce: createDial({ keepAlive: false }),
      sharesTrace: () => true,
    };
    // A call that fails on a reused connection would be sent once more.
    this.#pool = new McpPool({
      logger,
      fetchThroughGuard: createDial({ guard, keepAlive: false }),
      fetchUnguarded: createDial({ keepAlive: false }),
    });
    this.#fixed = firstOfEach([
      ...[...builtInTools, ...deps.contributed].map((tool) => wrapBuiltIn(tool, deps.consumers.findProject)),
      ...operator.httpTools.map((definition) => createHttpTool(definition, unguarded)),
    ]);
  }

  /** Starts to connect to the operator's MCP servers, so that the first turn has their tools. Returns immediately. */
  connectOperatorServers(): void {
    for (const server of this.deps.operator.mcpServers) void this.#pool.linkTo(server).listTools(0);
  }

  /** The names that no other tool can have. */
  get fixedNames(): readonly string[] {
    return [...this.#fixed.keys()];
  }

  /**
   * The tools that agents of the viewer's tenant can be given: those without a server first, then by server and name.
   * @param waiting who waits for servers that are still connecting
   */
  async listTools(viewer: Viewer, waiting: Waiting = 'person'): Promise<readonly Tool[]> {
    const own = await this.#loadOwn(viewer);
    return [...(await this.#compose(own, () => true, waiting)).values()];
  }

  /**
   * The tools of these names in the viewer's tenant; names without a tool are ignored. Only the MCP servers that the names
   * begin with are asked.
   * @param waiting who waits for servers that are still connecting
   */
  async findTools(viewer: Viewer, names: readonly string[], waiting: Waiting = 'turn'): Promise<Tool[]> {
    if (names.every((name) => this.#fixed.has(name))) return names.flatMap((name) => this.#fixed.get(name) ?? []);
    const own = await this.#loadOwn(viewer);
    const servers = new Set(names.map((name) => name.slice(0, name.indexOf('_'))));
    const tools = await this.#compose(own, (server) => servers.has(server.name), waiting);
    return names.flatMap((name) => tools.get(name) ?? []);
  }

  /** Whether a tool that was not found belongs, by its name, to an MCP server that is not connected now. */
  async isUnavailable(viewer: Viewer, name: string): Promise<boolean> {
    const { mcpServers } = await this.#loadOwn(viewer);
    const serverName = name.slice(0, name.indexOf('_'));
    const servers = [...this.deps.operator.mcpServers, ...mcpServers].filter((server) => server.name === serverName);
    return servers.some((server) => this.#pool.linkTo(server).status !== 'CONNECTED');
  }

  /** The tools of one of the tenant's MCP servers, as they were last listed. */
  async listServerTools(viewer: Viewer, name: string): Promise<Tool[]> {
    const tools = await this.#compose(await this.#loadOwn(viewer), (server) => server.name === name, 'person');
    return [...tools.values()].filter((tool) => tool.source === 'MCP');
  }

  /** The status of the connection to one of the tenant's MCP servers, after one attempt to connect. */
  async inspectServer(viewer: Viewer, name: string): Promise<McpStatus> {
    const definition = (await this.#loadOwn(viewer)).mcpServers.find((server) => server.name === name);
    if (definition === undefined) return 'NOT_CONNECTED';
    const link = this.#pool.linkTo(definition);
    await link.listTools(connectWaitMs.person);
    return link.status;
  }

  /** Closes the connections to MCP servers, and ends the processes that were started for them. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#pool.close();
  }

  #loadOwn(viewer: Viewer): Promise<TenantTools> {
    return loadTenantTools(viewer, this.deps, ({ mcpServers }) => this.#pool.keepOnly(viewer.tenantId, mcpServers));
  }

  #httpToolOf(definition: HttpToolDefinition): Tool {
    const tool = this.#httpTools.get(definition) ?? createHttpTool(definition, this.#network);
    this.#httpTools.set(definition, tool);
    return tool;
  }

  async #compose(
    own: TenantTools,
    wanted: (server: McpDefinition) => boolean,
    waiting: Waiting,
  ): Promise<Map<string, Tool>> {
    const tools = firstOfEach([
      ...this.#fixed.values(),
      ...own.httpTools.map((definition) => this.#httpToolOf(definition)),
    ]);
    const servers = [...this.deps.operator.mcpServers, ...own.mcpServers].filter(wanted);
    const lists = await Promise.all(
      servers.map((server) => this.#pool.linkTo(server).listTools(connectWaitMs[waiting])),
    );
    const taken = new Set(tools.keys());
    for (const [index, server] of servers.entries()) {
      const connections = { pool: this.#pool, logger: this.deps.logger, guard: this.deps.guard };
      for (const tool of createMcpTools(server, lists[index] ?? [], taken, connections)) tools.set(tool.name, tool);
    }
    return tools;
  }
}

function firstOfEach(tools: readonly Tool[]): Map<string, Tool> {
  const named = new Map<string, Tool>();
  for (const tool of tools) if (!named.has(tool.name)) named.set(tool.name, tool);
  return named;
}
