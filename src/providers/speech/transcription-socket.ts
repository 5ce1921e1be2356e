import { randomUUID } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { WebSocket } from 'ws';
import type { AddressGuard } from '../../outbound/guard.ts';
import type { TranscriptionEndpoint } from '../llm/endpoints.ts';
import { badSpeechAnswer, failureOfSpeechConnection, failureOfSpeechStatus, speechTimeout } from './failures.ts';
import { LastSoundDetector } from './last-sound.ts';
import { addressOf, keyHeaders } from './request.ts';
import type { Transcription, TranscriptionLimits } from './transcription.ts';
import { decodeForWhisper, type Wav, whisperRate } from './wav.ts';
import { readWhisperMessage, WhisperTranscript } from './whisper-transcript.ts';

/**
 * How much of the audio may be ahead of what was written down, in milliseconds: beyond 45 seconds WhisperLive throws
 * away the oldest 30, whether it has heard them or not.
 */
const aheadMs = 15_000;
/** What is heard without a word is not reported: sent is at least as much as was said by now, and this. */
const aheadOfClockMs = 1_000;
/** Silence after the audio, in milliseconds: WhisperLive leaves what is shorter than a second until more comes. */
const silenceMs = 1_200;
/** What was said lies within this of the end when everything was heard. */
const nearEndMs = 1_000;
/** What ends the audio, as bytes and not as text. */
const endOfAudio = Buffer.from('END_OF_AUDIO');
const handshakeMs = 10_000;
/** How connections are closed where nothing is wrong (RFC 6455, section 7.4.1). */
const orderly: ReadonlySet<number> = new Set([1000, 1001, 1005]);
/** The connection was gone, with no word of closing it. */
const unceremonious = 1006;

/**
 * Has audio written down by a streaming server, as local Whisper servers speak: WhisperLive's protocol. A JSON message
 * with the configuration goes first; after SERVER_READY, frames of 32-bit floats, 16,000 a second; segments of text come
 * back, the last of them over and over until it is `completed`. The server closes when it is told END_OF_AUDIO and
 * forgets what it has not heard by then, so that is told last: when the segments reach the end, or no more news come for
 * so long that none can be under way any more: the longer, the more sound there is that nothing was said of.
 *
 * @param guard checks where the connection leads; null: the operator wrote the address
 * @throws {ProviderError} when the server cannot be reached, is full, takes too long or says something else
 */
export async function transcribeBySocket(
  endpoint: TranscriptionEndpoint,
  wav: Wav,
  {
    guard,
    limits,
    signal,
  }: { readonly guard: AddressGuard | null; readonly limits: TranscriptionLimits; readonly signal: AbortSignal },
): Promise<Transcription> {
  const late = AbortSignal.timeout(limits.totalMs + wav.durationMs);
  const over = AbortSignal.any([signal, late]);
  let conversation: Conversation | undefined;
  try {
    conversation = new Conversation(endpoint, guard, limits, over);
    await conversation.ready();
    await conversation.tell(wav);
    await conversation.settle(wav.durationMs);
    const { text, language } = conversation.transcript;
    return { text, language, durationMs: wav.durationMs };
  } catch (error) {
    const begun = conversation?.open ?? false;
    throw failureOfSpeechConnection('transcription', error, { late: late.aborted, begun, apiKey: endpoint.apiKey });
  } finally {
    conversation?.end();
  }
}

/** One connection, and what was heard over it. */
class Conversation {
  readonly transcript: WhisperTranscript;
  open = false;
  readonly #socket: WebSocket;
  readonly #uid = randomUUID();
  readonly #over: AbortSignal;
  readonly #sound = new LastSoundDetector();
  /** Aborts when the connection is given up. */
  readonly #left = new AbortController();
  readonly #quietMs: number;
  /** The most that is waited beyond that for sound that nothing was said of: what is left then is for the end. */
  readonly #maxUnheardMs: number;
  #isReady = false;
  /** Whether it was told that there is no more audio. */
  #told = false;
  #closed = false;
  #failure: unknown;
  /** Called when something has happened. */
  #wake = () => {};

  constructor(
    endpoint: TranscriptionEndpoint,
    guard: AddressGuard | null,
    limits: TranscriptionLimits,
    over: AbortSignal,
  ) {
    const url = addressOf(endpoint, '').replace(/^http/i, 'ws');
    const lookup: LookupFunction | undefined = guard?.lookupFor(url, this.#left.signal);
    this.transcript = new WhisperTranscript(limits.maxBytes);
    this.#over = over;
    this.#quietMs = limits.quietMs;
    this.#maxUnheardMs = limits.totalMs / 2;
    this.#socket = new WebSocket(url, {
      headers: keyHeaders(endpoint),
      handshakeTimeout: handshakeMs,
      maxPayload: 1_000_000,
      followRedirects: false,
      perMessageDeflate: false,
      ...(lookup ? { lookup } : {}),
    });
    this.#socket.on('open', () => {
      this.open = true;
      const { model, language, options } = endpoint;
      const about = { ...options, uid: this.#uid, model, language: language?.split('-', 1)[0] ?? null };
      this.#socket.send(JSON.stringify({ use_vad: true, ...about, task: 'transcribe' }));
    });
    this.#socket.on('message', (data, isBinary) => this.#take(isBinary ? '' : String(data)));
    this.#socket.on('unexpected-response', (_request, response) => {
      const status = response.statusCode ?? 0;
      response.destroy();
      this.#fail(failureOfSpeechStatus('transcription', status === 200 ? 404 : status));
    });
    this.#socket.on('error', (error) => {
      // A server that was told the end may hang up without ceremony.
      if (!this.#told || !('code' in error) || error.code !== 'ECONNRESET') this.#fail(error);
    });
    this.#socket.on('close', (code) => {
      this.#closed = true;
      if (orderly.has(code) || (this.#told && code === unceremonious)) this.#wake();
      else this.#fail(badSpeechAnswer('transcription', 'broke off the connection.'));
    });
    over.addEventListener('abort', this.#onOver, { once: true });
    if (over.aborted) this.#onOver();
  }

  /** Waits for the leave to send audio. */
  async ready(): Promise<void> {
    while (!this.#isReady) {
      if (this.#closed) throw badSpeechAnswer('transcription', 'closed the connection.');
      await this.#news(null);
    }
  }

  /** Sends the audio, as fast as it is written down and never slower than it was said. */
  async tell(wav: Wav): Promise<void> {
    const began = performance.now();
    let sentMs = 0;
    for (const block of decodeForWhisper(wav)) {
      for (;;) {
        const elapsedMs = performance.now() - began;
        const due = Math.max(this.transcript.completedMs + aheadMs, elapsedMs + aheadOfClockMs);
        if (sentMs <= due || this.#closed) break;
        await this.#news(sentMs - due);
      }
      if (this.#closed) throw badSpeechAnswer('transcription', 'closed the connection in the midst of the audio.');
      this.#sound.add(block);
      await this.#send(block);
      sentMs += (block.length / whisperRate) * 1_000;
    }
    await this.#send(new Float32Array((silenceMs / 1_000) * whisperRate));
  }

  /** Waits until everything was written down that ever will be. */
  async settle(durationMs: number): Promise<void> {
    const heardAll = () => {
      const { text, completed, completedMs } = this.transcript;
      return text !== '' && completed && completedMs >= durationMs - nearEndMs;
    };
    await this.#quiet(heardAll);
    if (this.#closed) {
      // It hung up of its own accord: what it has not written down until now, it never will.
      if (heardAll()) return;
      throw badSpeechAnswer('transcription', 'closed the connection before it had heard all of the audio.');
    }
    this.#told = true;
    this.#socket.send(endOfAudio);
    // WhisperLive closes now; others write down the rest first.
    await this.#quiet(() => false);
    if (!this.#closed && this.#unheardMs > 0) throw speechTimeout('transcription');
  }

  end(): void {
    this.#over.removeEventListener('abort', this.#onOver);
    this.#socket.on('error', () => {});
    this.#socket.terminate();
    this.#left.abort();
  }

  /** How much of the sound nothing was written down of, in milliseconds. Silence at the end need not be mentioned. */
  get #unheardMs(): number {
    const missing = this.#sound.endMs - this.transcript.reachedMs;
    return missing > nearEndMs ? missing : 0;
  }

  readonly #onOver = () => this.#fail(speechTimeout('transcription'));

  #fail(error: unknown): void {
    this.#failure ??= error;
    // Whatever is being sent ends with it.
    this.#socket.terminate();
    this.#wake();
  }

  /** Waits for the end of the connection, for `enough`, or until nothing new came for a while. */
  async #quiet(enough: () => boolean): Promise<void> {
    let last = performance.now();
    let version = this.transcript.version;
    while (!this.#closed && !enough()) {
      // With a segment open, or none at all, it may still be thinking; and the more there is to hear, the longer.
      const unheardMs = this.#unheardMs;
      const settled = unheardMs === 0 && this.transcript.completed && this.transcript.text !== '';
      const drainTimeout = settled ? this.#quietMs / 2 : this.#quietMs + Math.min(unheardMs, this.#maxUnheardMs);
      const left = drainTimeout - (performance.now() - last);
      if (left <= 0) return;
      await this.#news(left);
      // The last segment comes again and again: that is no news.
      if (version === this.transcript.version) continue;
      version = this.transcript.version;
      last = performance.now();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits until something happens. @param ms at most; null: as long as it takes */
  async #news(ms: number | null): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (ms !== null) timer = setTimeout(resolve, ms);
      if (this.#failure !== undefined || this.#closed) resolve();
    });
    clearTimeout(timer);
    this.#wake = () => {};
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #send(block: Float32Array): Promise<void> {
    const bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
    // One that is closed in the meantime says so by its events.
    await new Promise<void>((resolve) => this.#socket.send(bytes, () => resolve()));
    if (this.#failure !== undefined) throw this.#failure;
  }

  #take(message: string): void {
    if (message === '') return;
    try {
      const heard = readWhisperMessage(message, this.#uid);
      if (heard.type === 'ready') this.#isReady = true;
      else if (heard.type === 'end') this.#closed = true;
      else if (heard.type === 'language') this.transcript.language = heard.language;
      else if (heard.type === 'segments') this.transcript.add(heard.segments);
    } catch (error) {
      this.#fail(error);
    }
    this.#wake();
  }
}
