import { parseJson } from '../../engine/json.ts';
import type { ModelEvent } from '../../engine/ports.ts';
import { BodyPieces } from './body-pieces.ts';
import { BodySniffer } from './body-sniffer.ts';
import { EventStreamDecoder } from './event-stream.ts';
import {
  brokenOff,
  failureOfConnection,
  firstByteTimeout,
  malformedAnswer,
  oversizedAnswer,
  timeout,
} from './failures.ts';
import { ReadTurns } from './read-turns.ts';
import type { StepAccumulator, StepReader } from './step.ts';

/** Bytes of one answer. A token is about 200 of them on the wire, more in the Responses API. */
const maxAnswerBytes = 64 * 1024 * 1024;

/** How long the end of the body is waited for after the answer's, so that the connection can be used again. */
const drainTimeoutMs = 1_000;

/** How long an answer is waited for, in milliseconds. */
export interface AnswerTimeouts {
  /** Until the first event. */
  readonly firstByteMs: number;
  /** From one chunk to the next. */
  readonly idleMs: number;
  /** For the usage, once the answer is complete. */
  readonly usageMs: number;
  /** For the end of the stream, once the answer and its usage are complete. */
  readonly endMs: number;
  /** For more text, if the answer was called complete in the same chunk as a text: some servers do so too early. */
  readonly moreTextMs: number;
}

export interface Answer {
  readonly response: Response;
  readonly reader: StepReader;
  readonly accumulator: StepAccumulator;
  readonly apiKey: string;
  readonly timeouts: AnswerTimeouts;
  readonly signal: AbortSignal;
}

/** Of all answers in this process. */
const turns = new ReadTurns();

type Body = ReadableStreamDefaultReader<Uint8Array>;

/**
 * Reads the body of an answer to its end.
 * @throws {ModelError} if it breaks off, stalls, reports an error, is empty or cannot be read
 * @throws the signal's reason if it is aborted
 */
export async function* readAnswer(answer: Answer): AsyncGenerator<ModelEvent, void, undefined> {
  const { response, reader, accumulator, timeouts, signal } = answer;
  const body: Body | undefined = response.body?.getReader();
  if (body === undefined) throw brokenOff();
  const pieces = new BodyPieces(body);
  const cancel = () => void body.cancel().catch(() => {});
  let stalled = false;
  let hasBegun = false;
  const timer = new SilenceTimer(() => {
    stalled = true;
    cancel();
  });
  timer.restart(chooseTimeout(reader, timeouts, hasBegun));
  signal.addEventListener('abort', cancel, { once: true });
  const parser = new AnswerParser(reader);
  let ended = false;
  let bytes = 0;
  try {
    while (!ended) {
      const piece = await readPiece(pieces, answer);
      if (piece === undefined) {
        if (stalled && !reader.isSettled) throw hasBegun ? timeout() : firstByteTimeout(timeouts.firstByteMs / 1_000);
        const failure = attempt(() => {
          if (!stalled) parser.end();
        });
        for (const event of accumulator.take()) yield event;
        if (failure) throw failure.error;
        break;
      }
      const turn = turns.wait(() => piece.length + pieces.countReady(piece.length));
      if (turn) {
        pieces.readAhead();
        await turn;
        signal.throwIfAborted();
      }
      // What has arrived by now becomes one event: with many answers at a time, each costs less the longer it waits.
      const together = [piece, ...pieces.takeReady(piece.length)];
      bytes += together.reduce((sum, { length }) => sum + length, 0);
      if (bytes > maxAnswerBytes) throw oversizedAnswer();
      // Text that arrived before a failure is kept. (Not by yield*: it costs three promises for each token.)
      const failure = attempt(() => {
        for (const part of together) parser.push(part);
      });
      for (const event of accumulator.take()) yield event;
      if (failure) throw failure.error;
      signal.throwIfAborted();
      ended = parser.isEnded;
      hasBegun ||= parser.hasBegun;
      timer.restart(chooseTimeout(reader, timeouts, hasBegun));
    }
    if (ended) drain(body);
    const failure = attempt(() => reader.finish());
    for (const event of accumulator.take()) yield event;
    if (failure) throw failure.error;
  } catch (error) {
    cancel();
    throw error;
  } finally {
    timer.stop();
    signal.removeEventListener('abort', cancel);
    if (!ended) cancel();
  }
}

function chooseTimeout(reader: StepReader, timeouts: AnswerTimeouts, hasBegun: boolean): number {
  if (!hasBegun) return timeouts.firstByteMs;
  if (!reader.isSettled) return timeouts.idleMs;
  const byExpectation = { usage: timeouts.usageMs, nothing: timeouts.endMs, text: timeouts.moreTextMs };
  return Math.min(byExpectation[reader.expects], timeouts.idleMs);
}

/**
 * Gives the bytes of an answer to its reader: as a stream of events or as one JSON body, whichever it is. The content type
 * is not asked: streams are labelled application/json, and servers that ignore `stream: true` label a body as a stream.
 */
class AnswerParser {
  readonly #reader: StepReader;
  readonly #sniffer = new BodySniffer();
  readonly #decoder: EventStreamDecoder;
  #hasBegun = false;
  #isEnded = false;

  constructor(reader: StepReader) {
    this.#reader = reader;
    this.#decoder = new EventStreamDecoder((name, data) => this.#readEvent(name, data));
  }

  /** Whether anything of the answer has arrived, beyond comments that keep the connection alive. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** @throws {ModelError} if the answer reports a failure, or cannot be read */
  push(chunk: Uint8Array): void {
    const bytes = this.#sniffer.push(chunk);
    if (bytes !== null) this.#decoder.push(bytes);
    else this.#hasBegun ||= this.#sniffer.isJson;
  }

  /** @throws {ModelError} as `push` does */
  end(): void {
    const whole = this.#sniffer.end();
    if (whole === null) {
      this.#decoder.end();
      return;
    }
    const data = parseJson(whole);
    for (const entry of Array.isArray(data) ? data : [data]) {
      if (typeof entry !== 'object' || entry === null) throw malformedAnswer();
      this.#reader.readWhole(entry);
    }
  }

  #readEvent(name: string, data: string): void {
    if (this.#isEnded) return;
    const text = data.trim();
    // Keep-alive events: empty, or by a name of their own.
    if (text === '' || /^(ping|heartbeat|keep-?alive)$/i.test(name)) return;
    this.#hasBegun = true;
    if (text === '[DONE]') {
      this.#reader.readDone();
      this.#isEnded = true;
      return;
    }
    const value = parseJson(text);
    if (value === undefined) throw malformedAnswer(new SyntaxError('The event is not JSON.'));
    for (const entry of Array.isArray(value) ? value : [value]) {
      if (typeof entry === 'object' && entry !== null) this.#reader.read(name, entry);
    }
    this.#isEnded = this.#reader.isEnded;
  }
}

/** Runs work. @returns what it has thrown; null: nothing */
function attempt(work: () => void): { readonly error: unknown } | null {
  try {
    work();
    return null;
  } catch (error) {
    return { error };
  }
}

/** Calls back after a silence. It is restarted with each chunk, nearly always with the same time: that makes no new timer. */
class SilenceTimer {
  readonly #onSilence: () => void;
  #timer: NodeJS.Timeout | undefined;
  #ms = -1;

  constructor(onSilence: () => void) {
    this.#onSilence = onSilence;
  }

  restart(ms: number): void {
    if (this.#timer !== undefined && ms === this.#ms) {
      this.#timer.refresh();
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onSilence, ms);
    this.#ms = ms;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/** The next piece, or undefined at the end of the body. A connection that breaks after a complete answer is an end, too. */
async function readPiece(pieces: BodyPieces, { reader, apiKey, signal }: Answer): Promise<Uint8Array | undefined> {
  try {
    const piece = await pieces.next();
    signal.throwIfAborted();
    return piece;
  } catch (error) {
    signal.throwIfAborted();
    if (reader.isSettled) return undefined;
    throw failureOfConnection(error, apiKey);
  }
}

/** Reads the rest in the background: a body that is cancelled takes its connection with it. */
function drain(body: Body): void {
  const timer = setTimeout(() => void body.cancel().catch(() => {}), drainTimeoutMs);
  const run = async () => {
    for (let read = await body.read(); !read.done; read = await body.read());
  };
  run()
    .catch(() => {})
    .finally(() => clearTimeout(timer));
}
