import { badSpeechAnswer, speechTimeout } from './failures.ts';
import { LastSoundDetector } from './last-sound.ts';
import type { TranscriptionLimits } from './transcription.ts';
import { decodeForWhisper, type Wav, whisperRate } from './wav.ts';
import type { WhisperConnection } from './whisper-connection.ts';

/**
 * How much audio may be sent ahead of what is transcribed, in milliseconds: beyond 45 seconds WhisperLive discards the
 * oldest 30, transcribed or not.
 */
const maxAheadMs = 15_000;
/** Audio without words produces no segments, so at least as much as real time is sent, and this, in milliseconds. */
const aheadOfClockMs = 1_000;
/** Silence sent after the audio, in milliseconds: WhisperLive does not transcribe less than a second until more comes. */
const silenceMs = 1_200;
/** If everything is transcribed, the last segment ends at most this long before the end, in milliseconds. */
const nearEndMs = 1_000;

/** Sends one recording over a connection, and waits until it is transcribed. */
export class TranscriptionSession {
  readonly #connection: WhisperConnection;
  readonly #sound = new LastSoundDetector();
  /** How long to wait for something new if everything seems to be transcribed, in milliseconds. */
  readonly #quietMs: number;
  /** How much longer to wait for sound that is not transcribed, at most: the remaining time is for the end. */
  readonly #maxExtraMs: number;

  constructor(connection: WhisperConnection, limits: TranscriptionLimits) {
    this.#connection = connection;
    this.#quietMs = limits.quietMs;
    this.#maxExtraMs = limits.totalMs / 2;
  }

  /** Waits until the server is ready for audio. */
  async waitUntilReady(): Promise<void> {
    while (!this.#connection.ready) {
      if (this.#connection.closed) throw badSpeechAnswer('transcription', 'closed the connection.');
      await this.#connection.waitForEvent(null);
    }
  }

  /** Sends the audio, as fast as it is transcribed, but never slower than real time. */
  async sendAudio(wav: Wav): Promise<void> {
    const connection = this.#connection;
    const start = performance.now();
    let sentMs = 0;
    for (const block of decodeForWhisper(wav)) {
      for (;;) {
        const elapsedMs = performance.now() - start;
        const dueMs = Math.max(connection.transcript.completedMs + maxAheadMs, elapsedMs + aheadOfClockMs);
        if (sentMs <= dueMs || connection.closed) break;
        await connection.waitForEvent(sentMs - dueMs);
      }
      if (connection.closed)
        throw badSpeechAnswer('transcription', 'closed the connection before the end of the audio.');
      this.#sound.add(block);
      await connection.sendAudio(block);
      sentMs += (block.length / whisperRate) * 1_000;
    }
    await connection.sendAudio(new Float32Array((silenceMs / 1_000) * whisperRate));
  }

  /** Waits until the transcript is complete. @param durationMs of the audio, in milliseconds */
  async waitForTranscript(durationMs: number): Promise<void> {
    const connection = this.#connection;
    const isComplete = () => {
      const { text, completed, completedMs } = connection.transcript;
      return text !== '' && completed && completedMs >= durationMs - nearEndMs;
    };
    await this.#waitUntilQuiet(isComplete);
    if (connection.closed) {
      // It closed on its own: what is not transcribed by now never will be.
      if (isComplete()) return;
      throw badSpeechAnswer('transcription', 'closed the connection before all of the audio was transcribed.');
    }
    connection.sendEndOfAudio();
    // WhisperLive closes now; other servers transcribe the rest first.
    await this.#waitUntilQuiet(() => false);
    if (!connection.closed && this.#missingMs > 0) throw speechTimeout('transcription');
  }

  /** How much sound is not transcribed, in milliseconds. Silence at the end does not count. */
  get #missingMs(): number {
    const missing = this.#sound.endMs - this.#connection.transcript.reachedMs;
    return missing > nearEndMs ? missing : 0;
  }

  /** Waits until the connection closes, `isEnough` is true, or nothing new has come for a while. */
  async #waitUntilQuiet(isEnough: () => boolean): Promise<void> {
    const connection = this.#connection;
    let lastChange = performance.now();
    let version = connection.transcript.version;
    while (!connection.closed && !isEnough()) {
      // With an open segment, or none at all, the server may still be working; the more sound is left, the longer.
      const missingMs = this.#missingMs;
      const seemsComplete = missingMs === 0 && connection.transcript.completed && connection.transcript.text !== '';
      const quietMs = seemsComplete ? this.#quietMs / 2 : this.#quietMs + Math.min(missingMs, this.#maxExtraMs);
      const leftMs = quietMs - (performance.now() - lastChange);
      if (leftMs <= 0) return;
      await connection.waitForEvent(leftMs);
      // The last segment is sent again and again: that is nothing new.
      if (version === connection.transcript.version) continue;
      version = connection.transcript.version;
      lastChange = performance.now();
    }
    connection.assertNotFailed();
  }
}
