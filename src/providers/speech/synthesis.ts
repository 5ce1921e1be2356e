import { ProviderError } from '../../api/errors.ts';
import { readResponse } from '../../outbound/read-response.ts';
import type { SpeechEndpoint } from '../llm/endpoints.ts';
import { describeCause } from '../llm/failures.ts';
import { type AudioType, audioHeadBytes, findAudioType } from './audio-type.ts';
import { badSpeechAnswer, failureOfSpeechConnection, failureOfSpeechStatus } from './failures.ts';
import { WavJoiner } from './join-wavs.ts';
import { keyHeaders, speechUrl } from './request.ts';
import { verifyWavLength } from './verify-wav-length.ts';

/** What bounds an answer. */
export interface SpeechLimits {
  /** How long it may take altogether, in milliseconds. */
  readonly totalMs: number;
  /** How long nothing may come, in milliseconds. */
  readonly idleMs: number;
  readonly maxBytes: number;
}

/** Speech as it comes from a provider. */
export interface Speech {
  readonly type: AudioType;
  /**
   * All of it, from the beginning. Throws a ProviderError where it breaks off, drags on or is too large, and at the end
   * of a WAV that is not all there.
   */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** After the end of the chunks: what the beginning of the file is to be replaced with; null: it is right. */
  readonly readHead: () => Uint8Array | null;
  /** Lets go of the connection, wherever its reader is. */
  readonly close: () => Promise<void>;
}

const errorLimits = { maxBytes: 8_192, timeoutMs: 3_000 } as const;

/**
 * Has a text spoken: POST <apiUrl>/audio/speech, as OpenAI has it. Answers as soon as the beginning shows that audio is
 * coming, by its content: nothing is held back. It has to be closed.
 *
 * @param dial how to dial: guarded where the endpoint is
 * @param signal ends it, whatever it is doing
 * @throws {ProviderError} when the provider refuses, cannot be reached or answers something else than audio
 */
export async function openSpeech(
  endpoint: SpeechEndpoint,
  text: string,
  {
    dial,
    limits,
    signal,
  }: { readonly dial: typeof fetch; readonly limits: SpeechLimits; readonly signal: AbortSignal },
): Promise<Speech> {
  const clock = new Clock(limits, signal);
  try {
    const response = await dial(speechUrl(endpoint), {
      method: 'POST',
      headers: { ...keyHeaders(endpoint), 'content-type': 'application/json', accept: 'audio/*' },
      body: JSON.stringify(writeBody(endpoint, text)),
      signal: clock.signal,
    });
    clock.begun = true;
    if (!response.ok) {
      const said = (await readResponse(response, errorLimits)).bytes.toString('utf8');
      throw failureOfSpeechStatus('speech', response.status, describeCause(said, endpoint.apiKey));
    }
    const reader = response.body?.getReader();
    if (reader === undefined) throw badSpeechAnswer('speech', 'sent an empty answer.');
    const read = readChunks(reader, clock, limits, endpoint.apiKey);
    const close = async () => void (await read.return());
    const head: Uint8Array[] = [];
    let length = 0;
    let ended = false;
    while (!ended && length < audioHeadBytes) {
      const { done, value } = await read.next();
      if (value) {
        head.push(value);
        length += value.length;
      }
      ended = done === true;
    }
    const type = await findAudioType(Buffer.concat(head));
    if (length === 0) throw badSpeechAnswer('speech', 'sent an empty answer.');
    if (type === null) {
      await close();
      throw badSpeechAnswer('speech', 'sent something that is no audio.');
    }
    const chunks = join(head, read);
    if (type.extension !== 'wav') return { type, chunks, readHead: () => null, close };
    const joiner = new WavJoiner();
    return { type, chunks: verifyWavLength(joiner.join(chunks)), readHead: () => joiner.head, close };
  } catch (error) {
    const { late, begun } = clock;
    clock.stop();
    throw failureOfSpeechConnection('speech', error, { late, begun, apiKey: endpoint.apiKey });
  }
}

async function* join(head: readonly Uint8Array[], rest: AsyncIterable<Uint8Array>) {
  yield* head;
  yield* rest;
}

async function* readChunks(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  clock: Clock,
  limits: SpeechLimits,
  apiKey: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  let length = 0;
  try {
    for (;;) {
      clock.wait();
      const { done, value } = await reader.read();
      clock.rest();
      if (done) return;
      length += value.length;
      if (length > limits.maxBytes) {
        const most = Math.floor(limits.maxBytes / 1_000_000);
        const problem = { problem: 'BAD_ANSWER', retryable: false } as const;
        throw new ProviderError(`The speech provider sent more than ${most} MB.`, problem);
      }
      yield value;
    }
  } catch (error) {
    throw failureOfSpeechConnection('speech', error, { late: clock.late, begun: true, apiKey });
  } finally {
    clock.stop();
    reader.cancel().catch(() => {});
  }
}

/** The options may add to the request, and change nothing of what it is about. */
function writeBody({ options, model, voice, sampleRate }: SpeechEndpoint, text: string): Record<string, unknown> {
  return {
    response_format: 'wav',
    ...(sampleRate === null ? {} : { sample_rate: sampleRate }),
    ...options,
    model,
    ...(voice === null ? {} : { voice }),
    input: text,
  };
}

/** Aborts when an answer takes too long, altogether or from one chunk to the next. */
class Clock {
  readonly signal: AbortSignal;
  begun = false;
  late = false;
  readonly #own = new AbortController();
  readonly #idleMs: number;
  readonly #total: NodeJS.Timeout;
  #idle: NodeJS.Timeout;

  constructor({ totalMs, idleMs }: SpeechLimits, signal: AbortSignal) {
    this.signal = AbortSignal.any([signal, this.#own.signal]);
    this.#idleMs = idleMs;
    this.#total = setTimeout(() => this.#end(), totalMs);
    this.#idle = setTimeout(() => this.#end(), idleMs);
  }

  /** Something is waited for, from now on. */
  wait(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#end(), this.#idleMs);
  }

  /** Nothing is waited for: what takes time now is not the provider. */
  rest(): void {
    clearTimeout(this.#idle);
  }

  stop(): void {
    clearTimeout(this.#total);
    clearTimeout(this.#idle);
  }

  #end(): void {
    this.late = true;
    this.#own.abort();
  }
}
