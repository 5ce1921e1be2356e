import type { AddressGuard } from '../../outbound/address-guard.ts';
import type { TranscriptionEndpoint } from '../llm/endpoints.ts';
import { failureOfSpeechConnection } from './failures.ts';
import type { Transcription, TranscriptionLimits } from './transcription.ts';
import { TranscriptionSession } from './transcription-session.ts';
import type { Wav } from './wav.ts';
import { WhisperConnection } from './whisper-connection.ts';

/**
 * Transcribes audio over a WebSocket, in the protocol of WhisperLive, which local Whisper servers use. A JSON message with
 * the configuration is sent first; after SERVER_READY, frames of 32-bit floats, 16,000 per second. Segments of text are
 * received, the last of them again and again until it is `completed`. On END_OF_AUDIO the server closes and discards what
 * it has not transcribed, so this is sent last: when the segments reach the end of the audio, or when nothing new has come
 * for a while; the more sound is not transcribed, the longer that is.
 *
 * @param options.guard checks the address of the connection; null: the operator configured the address
 * @throws {ProviderError} if the server cannot be reached, is full, takes too long or sends something else
 */
export async function transcribeBySocket(
  endpoint: TranscriptionEndpoint,
  wav: Wav,
  options: {
    readonly guard: AddressGuard | null;
    readonly limits: TranscriptionLimits;
    readonly signal: AbortSignal;
  },
): Promise<Transcription> {
  const { guard, limits } = options;
  const late = AbortSignal.timeout(limits.totalMs + wav.durationMs);
  const signal = AbortSignal.any([options.signal, late]);
  let connection: WhisperConnection | undefined;
  try {
    connection = new WhisperConnection(endpoint, guard, { maxCharacters: limits.maxBytes, signal });
    const session = new TranscriptionSession(connection, limits);
    await session.waitUntilReady();
    await session.sendAudio(wav);
    await session.waitForTranscript(wav.durationMs);
    const { text, language } = connection.transcript;
    return { text, language, durationMs: wav.durationMs };
  } catch (error) {
    const begun = connection?.accepted ?? false;
    throw failureOfSpeechConnection('transcription', error, { late: late.aborted, begun, apiKey: endpoint.apiKey });
  } finally {
    connection?.end();
  }
}
