import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { RateLimitedError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { raceAbort } from '../../engine/abort.ts';
import type { ToolOutcome } from '../../engine/ports.ts';
import type { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import { createCallLimit } from './call-limit.ts';
import { listServerSecrets, type McpDefinition } from './config.ts';
import { describeProblem, isOfOneRequest, readServerError, sessionIsGone } from './failures.ts';
import { type ListedTool, readToolList } from './list.ts';
import { callResult, readCallResult } from './result.ts';
import { closeClient, createTransport, type McpNetwork } from './transport.ts';

/** How a connection stands. */
export type McpStatus = 'CONNECTED' | 'CONNECTING' | 'NOT_CONNECTED' | 'FAILED';

interface CallBounds {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly maxResultLength: number;
}

const connectTimeoutMs = 10_000;
const firstRetryMs = 500;
const maxRetryMs = 60_000;
/** A server that nobody has asked for so long is not tried again by itself. */
const forgottenAfterMs = 300_000;
/** A server that says again and again that its list has changed is asked for it no more often. */
const listEveryMs = 1_000;
/** A server that does not say when its list changes is asked for it now and then, while it is used. */
const unannouncedEveryMs = 300_000;
const momentMs = 250;

/**
 * The connection to one MCP server: made when it is first needed, shared by everybody who may use it, made anew when it
 * was lost. It reads the list of tools once, and again when the server says that it has changed.
 */
export class McpLink {
  readonly definition: McpDefinition;
  /** When it was last asked for something, in milliseconds of performance.now. */
  usedAt = performance.now();
  readonly #reach: McpNetwork;
  readonly #closing = new AbortController();
  #client: Client | null = null;
  #connecting: Promise<Client> | null = null;
  #refreshing: Promise<void> | null = null;
  #listIsOld = false;
  #tools: readonly ListedTool[] = [];
  /** Since when it is connecting, or reading its list again. */
  #busySince = 0;
  /** The calls that are on their way, over each connection: one that was given up stays until its calls have ended. */
  readonly #calls = new Map<Client, number>();
  readonly #openCalls: ConcurrencyLimit;
  #failures = 0;
  #retryAt = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor(definition: McpDefinition, reach: McpNetwork) {
    this.definition = definition;
    this.#reach = reach;
    this.#openCalls = createCallLimit(definition.tenantId === null);
  }

  get status(): McpStatus {
    if (this.#client) return 'CONNECTED';
    if (this.#connecting) return 'CONNECTING';
    return this.#failures > 0 ? 'FAILED' : 'NOT_CONNECTED';
  }

  /** Whether a call is on its way. */
  get busy(): boolean {
    return this.#openCalls.size > 0;
  }

  /**
   * Its tools: as they are, or as they were last known where the server does not answer in time. Once it has failed, it
   * is waited for a moment at most, and not at all between two tries.
   */
  async listTools(waitMs: number): Promise<readonly ListedTool[]> {
    this.usedAt = performance.now();
    if (this.#client && !this.#refreshing) {
      const announces = this.#client.getServerCapabilities()?.tools?.listChanged === true;
      // Nobody waits for what is only a look.
      if (!announces && performance.now() - this.#busySince > unannouncedEveryMs) this.#readAgain(this.#client);
      return this.#tools;
    }
    if (!this.#client && !this.#connecting && performance.now() < this.#retryAt) return this.#tools;
    const work: Promise<unknown> = this.#client && this.#refreshing ? this.#refreshing : this.#connect();
    const drainTimeout = new AbortController();
    const patientMs = this.#failures > 0 ? Math.min(waitMs, momentMs) : waitMs;
    const leftMs = Math.max(0, patientMs - (performance.now() - this.#busySince));
    await Promise.race([work.catch(() => {}), sleep(leftMs, null, { signal: drainTimeout.signal }).catch(() => {})]);
    drainTimeout.abort();
    return this.#tools;
  }

  /**
   * Calls a tool. Whatever goes wrong with the server is an error for the model; the next call connects anew. So is a
   * server that is busy with this user's calls already.
   * @param meta goes along as `_meta`
   * @param how.timeoutMs after which the server is told to stop
   * @throws the signal's reason when it is aborted
   */
  async call(
    name: string,
    args: Readonly<Record<string, unknown>>,
    meta: Readonly<Record<string, unknown>>,
    how: CallBounds & { readonly viewer: Viewer },
  ): Promise<ToolOutcome> {
    this.usedAt = performance.now();
    let entry: Disposable;
    try {
      entry = this.#openCalls.enter(how.viewer);
    } catch (error) {
      if (!(error instanceof RateLimitedError)) throw error;
      return { ok: false, error: `${error.message} Call it again when some of them have ended.` };
    }
    try {
      const known = this.#client !== null;
      const first = await this.#callOnce(name, args, meta, how);
      // The server has forgotten the session, and has not looked at the call.
      if (first === null && known) return (await this.#callOnce(name, args, meta, how)) ?? lost;
      return first ?? lost;
    } finally {
      entry[Symbol.dispose]();
      this.usedAt = performance.now();
    }
  }

  /** Closes the connection and ends a process that was started; the tools stay known. */
  async disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    if (client) await closeClient(client);
  }

  /** Closes it for ever. */
  async close(): Promise<void> {
    clearTimeout(this.#retry);
    this.#closing.abort(new Error('The server is stopping.'));
    await this.#connecting?.catch(() => {});
    await Promise.all([this.disconnect(), ...[...this.#calls.keys()].map((client) => client.close().catch(() => {}))]);
  }

  /** @returns null when the server did not know the session: the call was not looked at */
  async #callOnce(
    name: string,
    args: Readonly<Record<string, unknown>>,
    meta: Readonly<Record<string, unknown>>,
    { signal, timeoutMs, maxResultLength }: CallBounds,
  ): Promise<ToolOutcome | null> {
    let client: Client;
    try {
      client = await raceAbort(this.#connect(), signal);
    } catch (error) {
      if (signal.aborted) throw error;
      return { ok: false, error: 'The MCP server of the tool cannot be reached.' };
    }
    if (!this.#tools.some((tool) => tool.name === name)) {
      return { ok: false, error: `Its MCP server has no tool ${name} any more.` };
    }
    this.#calls.set(client, (this.#calls.get(client) ?? 0) + 1);
    try {
      const params = { name, arguments: { ...args }, _meta: { ...meta } };
      // The signal ends it at its timeout; the client's own is only there because it must have one.
      const bounds = { signal, timeout: timeoutMs + 1_000 };
      const answer = await client.request({ method: 'tools/call', params }, callResult, bounds);
      return readCallResult(answer, maxResultLength, listServerSecrets(this.definition));
    } catch (error) {
      if (signal.aborted) throw error;
      // Others may be waiting for answers over the same connection: it is not closed over one that has failed.
      if (!isOfOneRequest(error)) this.#giveUp(client);
      if (sessionIsGone(error)) return null;
      const said = readServerError(error);
      if (said !== null) return { ok: false, error: said };
      this.#note(error, 'an MCP server was lost in mid-call');
      return lost;
    } finally {
      this.#endCall(client);
    }
  }

  /** Sends nothing new over a connection, and closes it when the calls that are on their way have ended. */
  #giveUp(client: Client): void {
    if (this.#client === client) this.#client = null;
    if (!this.#calls.has(client)) void client.close().catch(() => {});
  }

  #endCall(client: Client): void {
    const left = (this.#calls.get(client) ?? 1) - 1;
    if (left > 0) return void this.#calls.set(client, left);
    this.#calls.delete(client);
    if (this.#client !== client) this.#giveUp(client);
  }

  async #connect(): Promise<Client> {
    this.#closing.signal.throwIfAborted();
    if (this.#client) return this.#client;
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  async #open(): Promise<Client> {
    clearTimeout(this.#retry);
    this.#busySince = performance.now();
    const client = new Client({ name: 'switchboard', version: '1' }, { capabilities: {} });
    client.onclose = () => {
      if (this.#client !== client) return;
      this.#client = null;
      this.#reach.logger.warn(this.#names(), 'the connection to an MCP server was lost');
    };
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => this.#readAgain(client));
    const transport = createTransport(this.definition, this.#reach, () => this.#giveUp(client));
    try {
      const bounds = { timeout: connectTimeoutMs, signal: this.#closing.signal };
      await client.connect(transport, bounds);
      const left = await this.#readTools(client);
      this.#client = client;
      this.#failures = 0;
      this.#retryAt = 0;
      this.#reach.logger.info({ ...this.#names(), tools: this.#tools.length, left }, 'an MCP server was connected');
      if (this.#listIsOld) this.#readAgain(client);
      return client;
    } catch (error) {
      await transport.close().catch(() => {});
      this.#failures += 1;
      const waitMs = Math.min(firstRetryMs * 2 ** (this.#failures - 1), maxRetryMs);
      this.#retryAt = performance.now() + waitMs;
      this.#note(error, 'an MCP server could not be used');
      this.#retryAfter(waitMs);
      throw error;
    }
  }

  #retryAfter(waitMs: number): void {
    if (this.#closing.signal.aborted || performance.now() - this.usedAt > forgottenAfterMs) return;
    this.#retry = setTimeout(() => void this.#connect().catch(() => {}), waitMs);
    this.#retry.unref();
  }

  /** Reads the list again, once for many notices; a notice that comes meanwhile makes it be read once more. */
  #readAgain(client: Client): void {
    this.#listIsOld = true;
    // While it connects, the list is being read: what comes after is looked at when it has connected.
    if (this.#client !== client || this.#refreshing) return;
    this.#busySince = performance.now();
    let pauseMs = listEveryMs;
    const read = async () => {
      while (this.#listIsOld && this.#client === client) {
        this.#listIsOld = false;
        try {
          const left = await this.#readTools(client);
          const tools = this.#tools.length;
          this.#reach.logger.info({ ...this.#names(), tools, left }, 'the tools of an MCP server changed');
          pauseMs = listEveryMs;
        } catch (error) {
          this.#note(error, 'the tools of an MCP server could not be read again');
          this.#listIsOld = true;
          if (sessionIsGone(error)) this.#giveUp(client);
        }
        if (!this.#listIsOld || this.#client !== client) continue;
        await sleep(pauseMs, null, { ref: false, signal: this.#closing.signal });
        pauseMs = Math.min(pauseMs * 2, maxRetryMs);
      }
    };
    this.#refreshing = read()
      // Only the pause ends so, when everything does.
      .catch(() => {})
      .finally(() => {
        this.#refreshing = null;
      });
  }

  /** @returns how many were left out */
  async #readTools(client: Client): Promise<number> {
    const list = await readToolList(client, this.#closing.signal, listServerSecrets(this.definition));
    this.#tools = list.tools;
    if (list.unsupported.length > 0) {
      const line = { ...this.#names(), tools: list.unsupported };
      this.#reach.logger.warn(line, 'tools of an MCP server are left out: their schemas are too large or too deep');
    }
    return list.left;
  }

  #names() {
    const { name, tenantId } = this.definition;
    return { mcpServer: name, tenantId };
  }

  #note(error: unknown, message: string): void {
    if (!this.#closing.signal.aborted)
      this.#reach.logger.warn({ ...this.#names(), ...describeProblem(error) }, message);
  }
}

const lost: ToolOutcome = { ok: false, error: 'The MCP server of the tool failed during the call.' };
