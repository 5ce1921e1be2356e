import { ConflictError } from '../api/errors.ts';
import { badInput } from '../api/input.ts';
import type { UploadedFile } from '../api/uploaded-file.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { TranscriptionEndpoint } from '../providers/llm/endpoints.ts';
import { type AudioType, audioFormats, findAudioType } from '../providers/speech/audio-type.ts';
import { type Transcription, transcribeByHttp } from '../providers/speech/transcription.ts';
import { transcribeBySocket } from '../providers/speech/transcription-socket.ts';
import { readWav, UnreadableWavError, type Wav } from '../providers/speech/wav.ts';
import { chooseAgent } from './choose-agent.ts';
import type { SpeechRuntime } from './dependencies.ts';

/** The largest file, in bytes. It is what OpenAI takes. */
export const maxAudioBytes = 25_000_000;
/** The longest audio for a streaming provider, in milliseconds: it may take as long as it is. */
const maxStreamedMs = 600_000;

const path = ['audio'];

/**
 * Has audio written down by an agent's provider.
 * @param args.agentId the public id; without one, the viewer's current agent
 * @param args.audio the file: what it is goes by its content
 * @param left aborts when the client leaves: nothing is written down for nobody
 * @throws {BadUserInputError} when it is empty, too large, no audio, or of a kind that the provider does not read
 * @throws {ConflictError} when the agent has no provider for it
 * @throws {ProviderError} when the provider does not do it
 * @throws {RateLimitedError} when the viewer asks too often
 */
export async function transcribeAudio(
  viewer: Viewer,
  deps: SpeechRuntime,
  args: { readonly agentId?: string | null | undefined; readonly audio: UploadedFile },
  left: AbortSignal | null = null,
): Promise<Transcription> {
  const { data } = args.audio;
  if (data.length === 0) throw badInput(path, 'is empty');
  if (data.length > maxAudioBytes) {
    throw badInput(path, `must have at most ${maxAudioBytes} bytes, and it has ${data.length}`);
  }
  await deps.limit.take(viewer);
  const { agent, stt } = await chooseAgent(viewer, deps.agents, args.agentId);
  if (stt === null) {
    throw new ConflictError(`The agent ${agent.name} does not listen: it has no speech-to-text provider (stt).`);
  }
  const type = await findAudioType(data);
  if (type === null) throw badInput(path, `must be audio (${audioFormats}), and by its content it is none`);
  const wav = type.extension === 'wav' ? readSound(data, stt) : null;
  const heard = await deps.work(left, (signal) => transcribe(deps, stt, { data, type, wav }, signal));
  return {
    ...heard,
    language: heard.language ?? stt.language,
    durationMs: heard.durationMs ?? wav?.durationMs ?? null,
  };
}

async function transcribe(
  deps: SpeechRuntime,
  stt: TranscriptionEndpoint,
  audio: { readonly data: Buffer; readonly type: AudioType; readonly wav: Wav | null },
  signal: AbortSignal,
): Promise<Transcription> {
  const { transcription: limits } = deps.limits;
  if (stt.protocol === 'http') return await transcribeByHttp(stt, audio, { dial: deps.dialFor(stt), limits, signal });
  if (audio.wav === null) throw badInput(path, 'must be a WAV file: the agent’s provider takes nothing else');
  if (audio.wav.durationMs > maxStreamedMs) {
    throw badInput(path, `must be at most ${maxStreamedMs / 60_000} minutes long for the agent’s provider`);
  }
  return await transcribeBySocket(stt, audio.wav, { guard: stt.guarded ? deps.agents.guard : null, limits, signal });
}

/** What is in a WAV file. Null: samples that only the provider can read. */
function readSound(data: Buffer, { protocol }: TranscriptionEndpoint): Wav | null {
  try {
    return readWav(data);
  } catch (error) {
    if (!(error instanceof UnreadableWavError)) throw error;
    if (error.compressed && protocol === 'http') return null;
    throw badInput(path, `is a WAV file that cannot be read: ${error.message}`);
  }
}
