import type { ModelEvent } from '../../engine/ports.ts';
import { EventStreamDecoder } from './event-stream.ts';
import {
  brokenOff,
  failureOfConnection,
  failureOfReport,
  malformedAnswer,
  oversizedAnswer,
  timeout,
} from './failures.ts';
import type { StepAccumulator, StepReader } from './step.ts';

/** Bytes of one answer. A token is some 200 of them on the wire, more in the Responses API. */
const maxAnswerBytes = 64 * 1024 * 1024;

/** How long the usage is waited for when the answer itself is complete, in milliseconds. */
const usageWaitMs = 5_000;

/** How long the end of the body is waited for after the answer's, so that the connection can be used again. */
const drainTimeoutMs = 1_000;

export interface Answer {
  readonly response: Response;
  readonly reader: StepReader;
  readonly gatherer: StepAccumulator;
  readonly apiKey: string;
  /** How long nothing may come, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

type Body = ReadableStreamDefaultReader<Uint8Array>;

/**
 * Reads the body of a streamed answer to its end.
 * @throws {ModelError} when it breaks off, stalls, reports an error or cannot be read
 * @throws the signal's reason when it is aborted
 */
export async function* readAnswer(answer: Answer): AsyncGenerator<ModelEvent, void, undefined> {
  const { response, reader, gatherer, apiKey, timeoutMs, signal } = answer;
  const body: Body | undefined = response.body?.getReader();
  if (body === undefined) throw brokenOff();
  const quit = () => void body.cancel().catch(() => {});
  let stalled = false;
  const onStall = () => {
    stalled = true;
    quit();
  };
  let timer = setTimeout(onStall, timeoutMs);
  signal.addEventListener('abort', quit, { once: true });
  let settled = false;
  let ended = false;
  let bytes = 0;
  const decoder = new EventStreamDecoder((name, data) => {
    if (ended) return;
    if (data === '[DONE]') ended = true;
    else {
      reader.read(name, parseObject(data));
      ended = reader.ended;
    }
  });
  try {
    if (isWhole(response)) {
      const failure = await readWhole(body, apiKey);
      signal.throwIfAborted();
      throw stalled ? timeout() : failure;
    }
    while (!ended) {
      const chunk = await readChunk(body, answer);
      if (chunk === undefined) {
        if (stalled && !reader.settled) throw timeout();
        yield* deliver(gatherer, () => {
          if (!stalled) decoder.end();
        });
        break;
      }
      bytes += chunk.length;
      if (bytes > maxAnswerBytes) throw oversizedAnswer();
      yield* deliver(gatherer, () => decoder.push(chunk));
      signal.throwIfAborted();
      if (settled || !reader.settled) timer.refresh();
      else {
        settled = true;
        clearTimeout(timer);
        timer = setTimeout(onStall, Math.min(usageWaitMs, timeoutMs));
      }
    }
    if (ended) drain(body);
    yield* deliver(gatherer, () => reader.finish());
  } catch (error) {
    quit();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', quit);
    if (!ended) quit();
  }
}

/** What has been gathered once `read` has run, before the error that it may have thrown: text that came is kept. */
function* deliver(gatherer: StepAccumulator, read: () => void): Generator<ModelEvent, void, undefined> {
  let failure: { readonly error: unknown } | undefined;
  try {
    read();
  } catch (error) {
    failure = { error };
  }
  yield* gatherer.take();
  if (failure !== undefined) throw failure.error;
}

/** The next chunk, or undefined at the end of the body. A broken connection behind a complete answer is an end, too. */
async function readChunk(body: Body, { reader, apiKey, signal }: Answer): Promise<Uint8Array | undefined> {
  try {
    const { value } = await body.read();
    signal.throwIfAborted();
    return value;
  } catch (error) {
    signal.throwIfAborted();
    if (reader.settled) return undefined;
    throw failureOfConnection(error, apiKey);
  }
}

/** Whether the answer says itself that it is no stream: an error with status 200, a login page. */
function isWhole(response: Response): boolean {
  return /^(application\/json|text\/html)/iu.test(response.headers.get('content-type') ?? '');
}

/** The failure in an answer that is no stream. */
async function readWhole(body: Body, apiKey: string): Promise<Error> {
  let text = '';
  const decoder = new TextDecoder();
  try {
    for (let read = await body.read(); !read.done && text.length < 64 * 1024; read = await body.read()) {
      text += decoder.decode(read.value, { stream: true });
    }
    const data: unknown = JSON.parse(text);
    if (typeof data === 'object' && data !== null && 'error' in data && data.error) {
      return failureOfReport(data.error, apiKey);
    }
  } catch {
    // Neither JSON nor an error: nothing that could be told better than below.
  }
  return malformedAnswer();
}

function parseObject(text: string): object {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw malformedAnswer(error instanceof SyntaxError ? new SyntaxError('The event is no JSON.') : error);
  }
  if (typeof data !== 'object' || data === null) throw malformedAnswer();
  return data;
}

/** Reads what is left, in the background: a body that is cancelled takes its connection with it. */
function drain(body: Body): void {
  const timer = setTimeout(() => void body.cancel().catch(() => {}), drainTimeoutMs);
  const run = async () => {
    for (let read = await body.read(); !read.done; read = await body.read());
  };
  run()
    .catch(() => {})
    .finally(() => clearTimeout(timer));
}
