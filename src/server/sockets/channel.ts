import type { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { RawData, WebSocket } from 'ws';
import { Pace } from './pace.ts';

/** What one socket may hold, and for how long. */
export interface ChannelLimits {
  /** While more bytes than this wait to be written, nothing is read from the socket. */
  readonly pauseAboveBytes: number;
  /** The socket ends if more bytes than this wait to be written. */
  readonly endAboveBytes: number;
  /** The socket ends if nothing was written for so long although something waits, in milliseconds. */
  readonly stallMs: number;
  /** A long frame gets more time: one second for so many bytes. Its progress cannot be seen before its end. */
  readonly minBytesPerSecond: number;
  /** How often the socket is checked, in milliseconds. */
  readonly checkEveryMs: number;
  /** How many messages of one read may wait; clients that send more at once are closed. */
  readonly maxQueued: number;
  /** How many bytes a client may send before its token was accepted; beyond that, the socket is closed. */
  readonly maxUntrustedBytes: number;
  /** How many bytes and messages are read per second, after a burst of as many. */
  readonly bytesPerSecond: number;
  readonly messagesPerSecond: number;
  /** How long a client has to answer a close frame, in milliseconds; then the connection is ended. */
  readonly closeMs: number;
}

export const channelLimits: ChannelLimits = {
  pauseAboveBytes: 1024 * 1024,
  endAboveBytes: 8 * 1024 * 1024,
  stallMs: 20_000,
  minBytesPerSecond: 64 * 1024,
  checkEveryMs: 4_000,
  maxQueued: 256,
  maxUntrustedBytes: 64 * 1024,
  bytesPerSecond: 1024 * 1024,
  messagesPerSecond: 256,
  closeMs: 5_000,
};

/** The client is pinged at every third check, about every 12 seconds. */
const checksPerPing = 3;
/** Policy violation (RFC 6455, section 7.4.1). */
const policyViolation = 1008;

/** Ends the operations of a socket that can no longer be written to. */
export class SocketClosedError extends Error {
  override readonly name = 'SocketClosedError';
}

/**
 * Reads and writes one socket within limits. It handles one message at a time, each in a turn of the event loop of its
 * own, and reads nothing meanwhile, nor while much waits to be written. So no socket can delay the others, and what it
 * holds in memory is bounded.
 */
export class SocketChannel {
  readonly #socket: WebSocket;
  readonly #raw: Duplex;
  readonly #limits: ChannelLimits;
  readonly #handle: (text: string) => Promise<void>;
  readonly #queue: RawData[] = [];
  readonly #pace: Pace;
  #bytesRead = 0;
  #trusted = false;
  /** Whether nothing more is read. */
  #isCutOff = false;
  readonly #checks: NodeJS.Timeout;
  #handling = false;
  #pingData: Buffer | null = null;
  #pongReceived = true;
  #checkCount = 0;
  #lastProgress = performance.now();
  /** Resolves the wait for room in the write buffer. */
  #onRoom: (() => void) | null = null;

  /** @param handle handles one message; the next one is read when it resolves. It must not reject. */
  constructor(socket: WebSocket, raw: Duplex, handle: (text: string) => Promise<void>, limits = channelLimits) {
    this.#socket = socket;
    this.#raw = raw;
    this.#handle = handle;
    this.#limits = limits;
    this.#pace = new Pace(limits.bytesPerSecond, limits.messagesPerSecond);
    // Before ws reads the chunk: unmasking and joining a long message costs more than sending it.
    raw.prependListener('data', this.#countBytes);
    socket.on('message', (data: RawData) => this.#receive(data));
    socket.on('ping', (data: Buffer) => this.#schedulePong(data));
    socket.on('pong', () => {
      this.#pongReceived = true;
    });
    this.#checks = setInterval(() => this.#check(), limits.checkEveryMs).unref();
    socket.once('close', () => {
      clearInterval(this.#checks);
      this.#queue.length = 0;
      this.#onRoom?.();
    });
  }

  /**
   * Sends a frame. Resolves when the operating system has taken it, so that a client that does not read delays its own
   * operations. The frames of one tick leave in one write: with many streams, most of the CPU time was spent on one
   * system call per token.
   * @throws {SocketClosedError} when the socket is closing or closed. If this resolved instead, a long source would be
   *   read to its end for no reader, without a pause.
   */
  send(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#socket.readyState !== this.#socket.OPEN) return reject(new SocketClosedError());
      if (this.#raw.writableCorked === 0) {
        this.#raw.cork();
        setImmediate(() => this.#raw.uncork());
      }
      if (this.#socket.bufferedAmount === 0) this.#lastProgress = performance.now();
      this.#socket.send(text, (error) => {
        this.#lastProgress = performance.now();
        if (this.#socket.bufferedAmount <= this.#limits.pauseAboveBytes) this.#onRoom?.();
        if (error) reject(new SocketClosedError());
        else resolve();
      });
      if (this.#socket.bufferedAmount > this.#limits.endAboveBytes) this.#socket.terminate();
    });
  }

  /** From now on the client may send more than a stranger: its token was accepted. */
  trust(): void {
    this.#trusted = true;
    this.#raw.off('data', this.#countBytes);
  }

  /** Closes the socket, and reads on for a while, so that the client's part of the closing handshake arrives. */
  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
    this.#queue.length = 0;
    this.#socket.resume();
    setTimeout(() => this.#socket.terminate(), this.#limits.closeMs).unref();
  }

  readonly #countBytes = (chunk: Buffer) => {
    this.#bytesRead += chunk.length;
    if (this.#trusted || this.#bytesRead <= this.#limits.maxUntrustedBytes) return;
    this.#raw.off('data', this.#countBytes);
    this.close(policyViolation, 'Too much data before a valid token');
    // What follows is not read: neither the rest of a long message, nor the client's part of the handshake.
    this.#isCutOff = true;
    this.#socket.pause();
  };

  #receive(data: RawData): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#queue.push(data);
    if (this.#queue.length > this.#limits.maxQueued) {
      this.close(policyViolation, 'Too many messages at once');
      return;
    }
    if (this.#handling) return;
    this.#handling = true;
    // One read of the operating system may hold many messages. Those behind this one wait in the queue.
    this.#socket.pause();
    void this.#handleQueue();
  }

  async #handleQueue(): Promise<void> {
    for (let data = this.#queue.shift(); data !== undefined; data = this.#queue.shift()) {
      const text = String(data);
      await this.#handle(text);
      await this.#waitForRoom();
      await this.#pace.wait(text.length);
      await nextTurn();
    }
    this.#handling = false;
    if (!this.#isCutOff) this.#socket.resume();
  }

  async #waitForRoom(): Promise<void> {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount <= this.#limits.pauseAboveBytes) return;
    await new Promise<void>((resolve) => {
      this.#onRoom = resolve;
    });
    this.#onRoom = null;
  }

  /** Answers the last ping of a tick only, as RFC 6455 allows (section 5.5.3), and none while much waits to be written. */
  #schedulePong(data: Buffer): void {
    if (this.#pingData === null) {
      setImmediate(() => {
        const pingData = this.#pingData ?? '';
        this.#pingData = null;
        const { bufferedAmount, readyState, OPEN } = this.#socket;
        if (readyState === OPEN && bufferedAmount <= this.#limits.pauseAboveBytes) this.#socket.pong(pingData);
      });
    }
    this.#pingData = data;
  }

  #check(): void {
    const waiting = this.#socket.bufferedAmount;
    if (waiting === 0) this.#lastProgress = performance.now();
    const allowedMs = this.#limits.stallMs + (waiting / this.#limits.minBytesPerSecond) * 1000;
    if (performance.now() - this.#lastProgress > allowedMs) {
      this.#socket.terminate();
      return;
    }
    this.#checkCount += 1;
    // No pong can be read while the socket is paused; then the check above decides.
    if (this.#checkCount % checksPerPing !== 0 || this.#socket.isPaused) return;
    if (!this.#pongReceived) {
      this.#socket.terminate();
      return;
    }
    this.#pongReceived = false;
    this.#socket.ping();
  }
}
