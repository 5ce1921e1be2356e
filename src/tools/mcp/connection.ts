import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPError } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { outsideScope } from '../../telemetry/scope.ts';
import { listServerSecrets, type McpDefinition } from './config.ts';
import { describeProblem, maySayUnknownSession, maySpeakOlderProtocol } from './failures.ts';
import { type ListedTool, readToolList } from './list.ts';
import { closeClient, createTransport, type HttpProtocol, type McpNetwork } from './transport.ts';

/** The state of a connection. */
export type McpStatus = 'CONNECTED' | 'CONNECTING' | 'NOT_CONNECTED' | 'FAILED';

const connectTimeoutMs = 10_000;
const firstRetryMs = 500;
const maxRetryMs = 60_000;
/** A server that nobody has used for so long is not reconnected in the background. */
const maxUnusedMs = 300_000;
/** The shortest time between two readings of the list, if the server keeps saying that it has changed. */
const minRefreshMs = 1_000;
/** How often the list of a server in use is read again that does not announce changes. */
const unannouncedRefreshMs = 300_000;
/** How long a server that has failed is waited for. */
const failedWaitMs = 250;

/**
 * Connects to one MCP server when it is first needed, reconnects when the connection was lost, and knows the server's
 * tools: it reads the list after connecting, and again when the server says that it has changed.
 */
export class McpConnection {
  readonly #definition: McpDefinition;
  readonly #network: McpNetwork;
  readonly #closing = new AbortController();
  #client: Client | null = null;
  #connecting: Promise<Client> | null = null;
  #refreshing: Promise<void> | null = null;
  #listIsOld = false;
  #tools: readonly ListedTool[] = [];
  #usedAt = performance.now();
  /** Since when it has been connecting, or reading the list again. */
  #busySince = 0;
  /** The requests in progress by client: a client that was given up is closed when they have ended. */
  readonly #requests = new Map<Client, number>();
  #failures = 0;
  #retryAt = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor(definition: McpDefinition, network: McpNetwork) {
    this.#definition = definition;
    this.#network = network;
  }

  get status(): McpStatus {
    if (this.#client) return 'CONNECTED';
    if (this.#connecting) return 'CONNECTING';
    return this.#failures > 0 ? 'FAILED' : 'NOT_CONNECTED';
  }

  /** When it was last used, in milliseconds of performance.now. */
  get usedAt(): number {
    return this.#usedAt;
  }

  /** Notes that somebody uses it now. */
  touch(): void {
    this.#usedAt = performance.now();
  }

  /** The tools that were last listed. */
  get tools(): readonly ListedTool[] {
    return this.#tools;
  }

  /**
   * The server's tools; those that were last known if it does not respond in time. A server that has failed is waited for
   * only briefly, and not at all between two attempts to connect.
   * @param waitMs how long to wait for a connection or a list in progress, in milliseconds
   */
  async listTools(waitMs: number): Promise<readonly ListedTool[]> {
    this.touch();
    if (this.#client && !this.#refreshing) {
      const announces = this.#client.getServerCapabilities()?.tools?.listChanged === true;
      // In the background: the list has probably not changed.
      if (!announces && performance.now() - this.#busySince > unannouncedRefreshMs) this.#refresh(this.#client);
      return this.#tools;
    }
    if (!this.#client && !this.#connecting && performance.now() < this.#retryAt) return this.#tools;
    const work: Promise<unknown> = this.#client && this.#refreshing ? this.#refreshing : this.connect();
    const maxWaitMs = this.#failures > 0 ? Math.min(waitMs, failedWaitMs) : waitMs;
    const leftMs = Math.max(0, maxWaitMs - (performance.now() - this.#busySince));
    const timer = new AbortController();
    await Promise.race([work.catch(() => {}), sleep(leftMs, null, { signal: timer.signal }).catch(() => {})]);
    timer.abort();
    return this.#tools;
  }

  /**
   * The connected client; it connects if there is none.
   * @throws what connecting failed with
   */
  async connect(): Promise<Client> {
    this.#closing.signal.throwIfAborted();
    if (this.#client) return this.#client;
    this.#connecting ??= outsideScope(() => this.#open()).finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  /** Counts a request that a client is about to send: the client stays open until the result is disposed. */
  holdOpen(client: Client): Disposable {
    this.#requests.set(client, (this.#requests.get(client) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#requests.get(client) ?? 1) - 1;
        if (left > 0) return void this.#requests.set(client, left);
        this.#requests.delete(client);
        if (this.#client !== client) this.giveUp(client);
      },
    };
  }

  /** Sends nothing new through a client, and closes it when its requests in progress have ended. */
  giveUp(client: Client): void {
    if (this.#client === client) this.#client = null;
    if (!this.#requests.has(client)) void client.close().catch(() => {});
  }

  /** Closes the connection and ends a process that was started. The tools stay known, and it may connect again. */
  async disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    if (client) await closeClient(client);
  }

  /** Closes it for good. */
  async close(): Promise<void> {
    clearTimeout(this.#retry);
    this.#closing.abort(new Error('The server is stopping.'));
    await this.#connecting?.catch(() => {});
    const clients = [...this.#requests.keys()];
    await Promise.all([this.disconnect(), ...clients.map((client) => client.close().catch(() => {}))]);
  }

  /** Logs a failure, unless it comes from closing. */
  logFailure(error: unknown, message: string): void {
    if (this.#closing.signal.aborted) return;
    this.#network.logger.warn({ ...this.#logFields(), ...describeProblem(error) }, message);
  }

  async #open(): Promise<Client> {
    clearTimeout(this.#retry);
    this.#busySince = performance.now();
    let client: Client | null = null;
    try {
      client = await this.#openSession();
      const leftOut = await this.#readTools(client);
      this.#client = client;
      this.#failures = 0;
      this.#retryAt = 0;
      const fields = { ...this.#logFields(), tools: this.#tools.length, leftOut };
      this.#network.logger.info(fields, 'an MCP server was connected');
      if (this.#listIsOld) this.#refresh(client);
      return client;
    } catch (error) {
      await client?.close().catch(() => {});
      this.#failures += 1;
      const waitMs = Math.min(firstRetryMs * 2 ** (this.#failures - 1), maxRetryMs);
      this.#retryAt = performance.now() + waitMs;
      this.logFailure(error, 'connecting to an MCP server failed');
      this.#retryAfter(waitMs);
      throw error;
    }
  }

  /** Begins a session over the protocol that the server speaks: over HTTP, the older one if it refuses the newer. */
  async #openSession(): Promise<Client> {
    try {
      return await this.#initialize('streamable');
    } catch (error) {
      if (!maySpeakOlderProtocol(error)) throw error;
      return await this.#initialize('event-stream').catch((olderError: unknown) => {
        // A server that does not speak it either: what it said first tells more.
        throw olderError instanceof StreamableHTTPError ? error : olderError;
      });
    }
  }

  async #initialize(protocol: HttpProtocol): Promise<Client> {
    const client = new Client({ name: 'switchboard', version: '1' }, { capabilities: {} });
    client.onclose = () => {
      if (this.#client !== client) return;
      this.#client = null;
      this.#network.logger.warn(this.#logFields(), 'the connection to an MCP server was lost');
    };
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => this.#refresh(client));
    const transport = createTransport(this.#definition, this.#network, protocol, () => this.giveUp(client));
    const { signal } = this.#closing;
    // The signal of `connect` ends its request, not the opening of a stream before that.
    const stop = () => void transport.close().catch(() => {});
    signal.addEventListener('abort', stop);
    try {
      await client.connect(transport, { timeout: connectTimeoutMs, signal });
      return client;
    } catch (error) {
      await transport.close().catch(() => {});
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  #retryAfter(waitMs: number): void {
    if (this.#closing.signal.aborted || performance.now() - this.#usedAt > maxUnusedMs) return;
    this.#retry = setTimeout(() => void this.connect().catch(() => {}), waitMs);
    this.#retry.unref();
  }

  /** Reads the list again, once for many notices; after a notice that arrives meanwhile, once more. */
  #refresh(client: Client): void {
    this.#listIsOld = true;
    // While it connects, the list is being read: `#open` looks at the mark after that.
    if (this.#client !== client || this.#refreshing) return;
    this.#busySince = performance.now();
    this.#refreshing = this.#refreshUntilNew(client)
      // Only the pause ends so, when everything is closed.
      .catch(() => {})
      .finally(() => {
        this.#refreshing = null;
      });
  }

  async #refreshUntilNew(client: Client): Promise<void> {
    let pauseMs = minRefreshMs;
    while (this.#listIsOld && this.#client === client) {
      this.#listIsOld = false;
      try {
        const leftOut = await this.#readTools(client);
        const tools = this.#tools.length;
        this.#network.logger.info({ ...this.#logFields(), tools, leftOut }, 'the tools of an MCP server changed');
        pauseMs = minRefreshMs;
      } catch (error) {
        this.logFailure(error, 'reading the tools of an MCP server again failed');
        this.#listIsOld = true;
        if (maySayUnknownSession(error)) this.giveUp(client);
      }
      if (!this.#listIsOld || this.#client !== client) continue;
      await sleep(pauseMs, null, { ref: false, signal: this.#closing.signal });
      pauseMs = Math.min(pauseMs * 2, maxRetryMs);
    }
  }

  /** @returns how many tools were left out */
  async #readTools(client: Client): Promise<number> {
    const list = await readToolList(client, this.#closing.signal, listServerSecrets(this.#definition));
    this.#tools = list.tools;
    if (list.notOffered.length > 0) {
      const fields = { ...this.#logFields(), tools: list.notOffered };
      this.#network.logger.warn(fields, 'tools of an MCP server are not offered to models: see Tool.problem');
    }
    return list.leftOut;
  }

  #logFields() {
    const { name, tenantId } = this.#definition;
    return { mcpServer: name, tenantId };
  }
}
