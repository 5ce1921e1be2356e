import { randomUUID } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { WebSocket } from 'ws';
import type { AddressGuard } from '../../outbound/address-guard.ts';
import type { TranscriptionEndpoint } from '../llm/endpoints.ts';
import { badSpeechAnswer, failureOfSpeechStatus, speechTimeout } from './failures.ts';
import { keyHeaders, transcriptionUrl } from './request.ts';
import { readWhisperMessage, WhisperTranscript } from './whisper-transcript.ts';

const handshakeMs = 10_000;
/** The text that ends the audio; it is sent as a binary frame. */
const endOfAudio = Buffer.from('END_OF_AUDIO');
/** The close codes of an orderly end (RFC 6455, section 7.4.1). */
const orderlyCodes: ReadonlySet<number> = new Set([1000, 1001, 1005]);
/** The connection was lost without a close frame. */
const abnormalClosure = 1006;

/** A connection to a WhisperLive server, with the transcript that was received over it. */
export class WhisperConnection {
  readonly transcript: WhisperTranscript;
  /** Whether the server accepted the connection. */
  accepted = false;
  /** Whether the server is ready for audio. */
  ready = false;
  /** Whether the server sends nothing more. */
  closed = false;
  readonly #socket: WebSocket;
  readonly #uid = randomUUID();
  readonly #signal: AbortSignal;
  /** Aborts when the connection is given up. */
  readonly #ended = new AbortController();
  #audioEnded = false;
  #failure: unknown;
  /** Called on each event. */
  #wake = () => {};

  /**
   * @param guard checks the address; null: the operator configured it
   * @param options.maxCharacters of the transcript
   * @param options.signal gives the connection up, as too late
   */
  constructor(
    endpoint: TranscriptionEndpoint,
    guard: AddressGuard | null,
    options: { readonly maxCharacters: number; readonly signal: AbortSignal },
  ) {
    const url = transcriptionUrl(endpoint).replace(/^http/i, 'ws');
    const lookup: LookupFunction | undefined = guard?.lookupFor(url, this.#ended.signal);
    this.transcript = new WhisperTranscript(options.maxCharacters);
    this.#signal = options.signal;
    this.#socket = new WebSocket(url, {
      headers: keyHeaders(endpoint),
      handshakeTimeout: handshakeMs,
      maxPayload: 1_000_000,
      followRedirects: false,
      perMessageDeflate: false,
      ...(lookup ? { lookup } : {}),
    });
    this.#socket.on('open', () => {
      this.accepted = true;
      const { model, language, options: extra } = endpoint;
      const configuration = { ...extra, uid: this.#uid, model, language: language?.split('-', 1)[0] ?? null };
      this.#socket.send(JSON.stringify({ use_vad: true, ...configuration, task: 'transcribe' }));
    });
    this.#socket.on('message', (data, isBinary) => {
      if (!isBinary) this.#receive(String(data));
    });
    this.#socket.on('unexpected-response', (_request, response) => {
      const status = response.statusCode ?? 0;
      response.destroy();
      this.#fail(failureOfSpeechStatus('transcription', status === 200 ? 404 : status));
    });
    this.#socket.on('error', (error) => {
      // A server that has received the end of the audio may reset the connection.
      if (!this.#audioEnded || !('code' in error) || error.code !== 'ECONNRESET') this.#fail(error);
    });
    this.#socket.on('close', (code) => {
      this.closed = true;
      if (orderlyCodes.has(code) || (this.#audioEnded && code === abnormalClosure)) this.#wake();
      else this.#fail(badSpeechAnswer('transcription', 'closed the connection mid-response.'));
    });
    this.#signal.addEventListener('abort', this.#onAbort, { once: true });
    if (this.#signal.aborted) this.#onAbort();
  }

  /** Sends samples, 16,000 per second, from -1 to 1. Throws the failure of the connection. */
  async sendAudio(samples: Float32Array): Promise<void> {
    const bytes = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
    // If the socket closes meanwhile, its events report that.
    await new Promise<void>((resolve) => this.#socket.send(bytes, () => resolve()));
    this.assertNotFailed();
  }

  /** Tells the server that there is no more audio: it discards what it has not transcribed, and closes. */
  sendEndOfAudio(): void {
    this.#audioEnded = true;
    this.#socket.send(endOfAudio);
  }

  /**
   * Waits for the next event. Throws the failure of the connection.
   * @param maxMs how long at most, in milliseconds; null: until there is one
   */
  async waitForEvent(maxMs: number | null): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (maxMs !== null) timer = setTimeout(resolve, maxMs);
      if (this.#failure !== undefined || this.closed) resolve();
    });
    clearTimeout(timer);
    this.#wake = () => {};
    this.assertNotFailed();
  }

  /** Throws the failure of the connection, if it has failed. */
  assertNotFailed(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends the connection. */
  end(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#socket.on('error', () => {});
    this.#socket.terminate();
    this.#ended.abort();
  }

  readonly #onAbort = () => this.#fail(speechTimeout('transcription'));

  #fail(error: unknown): void {
    this.#failure ??= error;
    // This also ends what is being sent.
    this.#socket.terminate();
    this.#wake();
  }

  #receive(text: string): void {
    if (text === '') return;
    try {
      const message = readWhisperMessage(text, this.#uid);
      if (message.type === 'ready') this.ready = true;
      else if (message.type === 'end') this.closed = true;
      else if (message.type === 'language') this.transcript.language = message.language;
      else if (message.type === 'segments') this.transcript.add(message.segments);
    } catch (error) {
      this.#fail(error);
    }
    this.#wake();
  }
}
