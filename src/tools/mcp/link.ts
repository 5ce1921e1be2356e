import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { RateLimitedError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { raceAbort } from '../../engine/abort.ts';
import type { ToolOutcome } from '../../engine/ports.ts';
import type { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import { createCallLimit } from './call-limit.ts';
import { listServerSecrets, type McpDefinition } from './config.ts';
import { McpConnection, type McpStatus } from './connection.ts';
import { isOfOneRequest, isSameRefusal, maySayUnknownSession, readServerError, sessionIsGone } from './failures.ts';
import type { ListedTool } from './list.ts';
import { callResult, readCallResult } from './result.ts';
import type { McpNetwork } from './transport.ts';

/** How long a server is asked whether it still knows the session. */
const pingTimeoutMs = 2_000;

/** Who calls a tool, and within which bounds. */
interface CallOptions {
  readonly viewer: Viewer;
  readonly signal: AbortSignal;
  /** Milliseconds after which the server is told to stop. */
  readonly timeoutMs: number;
  readonly maxResultLength: number;
}

interface ToolCallParams {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** Sent along as `_meta`. */
  readonly meta: Readonly<Record<string, unknown>>;
}

/** Calls the tools of one MCP server over a connection that everybody who may use the server shares. */
export class McpLink {
  readonly definition: McpDefinition;
  readonly #connection: McpConnection;
  readonly #openCalls: ConcurrencyLimit;
  /** Resolves when it is to be closed and no call is in progress. */
  readonly #idle = Promise.withResolvers<void>();
  #retired = false;

  constructor(definition: McpDefinition, network: McpNetwork) {
    this.definition = definition;
    this.#connection = new McpConnection(definition, network);
    this.#openCalls = createCallLimit(definition.tenantId === null);
  }

  get status(): McpStatus {
    return this.#connection.status;
  }

  /** How long it has not been used, in milliseconds; 0 while a call is in progress. */
  get unusedMs(): number {
    return this.#openCalls.size > 0 ? 0 : performance.now() - this.#connection.usedAt;
  }

  /**
   * The server's tools; those that were last known if it does not respond in time.
   * @param waitMs how long a connection that is being made is waited for, in milliseconds
   */
  listTools(waitMs: number): Promise<readonly ListedTool[]> {
    return this.#connection.listTools(waitMs);
  }

  /**
   * Calls a tool. A failure of the server is an error for the model, and the next call connects again. So is a server that
   * is busy with too many calls of this user already.
   * @throws the signal's reason when it is aborted
   */
  async call(call: ToolCallParams, options: CallOptions): Promise<ToolOutcome> {
    this.#connection.touch();
    let entry: Disposable;
    try {
      entry = this.#openCalls.enter(options.viewer);
    } catch (error) {
      if (!(error instanceof RateLimitedError)) throw error;
      return { ok: false, error: `${error.message} Call it again when some of them have ended.` };
    }
    try {
      const wasConnected = this.#connection.status === 'CONNECTED';
      const outcome = await this.#callOnce(call, options, wasConnected);
      return outcome ?? (await this.#callOnce(call, options, false)) ?? failed;
    } finally {
      entry[Symbol.dispose]();
      this.#connection.touch();
      if (this.#retired && this.#openCalls.size === 0) this.#idle.resolve();
    }
  }

  /** Closes the connection and ends a process that was started. The tools stay known, and a call connects again. */
  disconnect(): Promise<void> {
    return this.#connection.disconnect();
  }

  /** Closes it for good, after the calls in progress. */
  async retire(): Promise<void> {
    this.#retired = true;
    if (this.#openCalls.size === 0) this.#idle.resolve();
    await this.#idle.promise;
    await this.#connection.close();
  }

  /** Closes it for good; calls in progress fail. */
  async close(): Promise<void> {
    await this.#connection.close();
  }

  /**
   * Whether the server refused a call because it does not know the session: it has not begun the call then. A status that
   * may mean something else does so only if a ping is refused in the same words.
   */
  async #isSessionGone(client: Client, error: unknown): Promise<boolean> {
    if (sessionIsGone(error)) return true;
    if (!maySayUnknownSession(error)) return false;
    try {
      await client.ping({ timeout: pingTimeoutMs });
      return false;
    } catch (pingError) {
      return isSameRefusal(error, pingError);
    }
  }

  /**
   * @param mayRepeat whether the caller can repeat the call over a new session
   * @returns null if the server did not know the session: it has not begun the call
   */
  async #callOnce(
    { name, arguments: args, meta }: ToolCallParams,
    { signal, timeoutMs, maxResultLength }: CallOptions,
    mayRepeat: boolean,
  ): Promise<ToolOutcome | null> {
    const connection = this.#connection;
    let client: Client;
    try {
      client = await raceAbort(connection.connect(), signal);
    } catch (error) {
      if (signal.aborted) throw error;
      return { ok: false, error: 'The MCP server of the tool cannot be reached.' };
    }
    if (!connection.tools.some((tool) => tool.name === name)) {
      return { ok: false, error: `The MCP server no longer has a tool named ${name}.` };
    }
    using _open = connection.holdOpen(client);
    try {
      const params = { name, arguments: { ...args }, _meta: { ...meta } };
      // The signal ends the request at its timeout; the client requires one of its own.
      const bounds = { signal, timeout: timeoutMs + 1_000 };
      const answer = await client.request({ method: 'tools/call', params }, callResult, bounds);
      return readCallResult(answer, maxResultLength, listServerSecrets(this.definition));
    } catch (error) {
      if (signal.aborted) throw error;
      // Others may be waiting for answers over the same connection: it is not closed because one request failed.
      const isGone = mayRepeat && (await this.#isSessionGone(client, error));
      if (isGone || !isOfOneRequest(error)) connection.giveUp(client);
      if (isGone) return null;
      const said = readServerError(error);
      if (said !== null) return { ok: false, error: said };
      connection.logFailure(error, 'an MCP server was lost during a call');
      return failed;
    }
  }
}

const failed: ToolOutcome = { ok: false, error: 'The MCP server of the tool failed during the call.' };
