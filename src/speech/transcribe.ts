import { requireStt } from '../agents/resolve.ts';
import { formatId } from '../api/ids.ts';
import { badInput } from '../api/input.ts';
import { UploadedFile } from '../api/uploaded-file.ts';
import { type AttachmentFiles, readWholeAttachment, type StoredContent } from '../attachments/files.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { TranscriptionEndpoint } from '../providers/llm/endpoints.ts';
import { type AudioType, audioFormats, findAudioType } from '../providers/speech/audio-type.ts';
import { type Transcription, transcribeByHttp } from '../providers/speech/transcription.ts';
import { transcribeBySocket } from '../providers/speech/transcription-socket.ts';
import { readWav, UnreadableWavError, type Wav } from '../providers/speech/wav.ts';
import { measureRequest } from '../telemetry/provider-request.ts';
import { chooseAgent } from './choose-agent.ts';
import type { SpeechRuntime } from './dependencies.ts';

/** The maximum size of a file, in bytes: that of OpenAI. */
export const maxAudioBytes = 25_000_000;
/** The maximum duration of audio for a streaming provider, in milliseconds: it can take as long as the audio. */
const maxStreamedMs = 600_000;

const path = ['audio'];

/**
 * Transcribes audio with an agent's speech-to-text provider.
 * @param args.agentId the public id; absent: the viewer's default agent
 * @param args.audio the file; its content decides what it is
 * @param clientGone aborts when the client disconnects, which ends the request to the provider
 * @throws {RateLimitedError} if the viewer calls it too often
 * @throws {BadUserInputError} if the file is empty, too large, not audio, or of a kind that the provider cannot read
 * @throws {NotFoundError | ForbiddenError} for the agent
 * @throws {ConflictError} if the agent has no speech-to-text provider that it may use
 * @throws {ProviderError} if the provider fails
 */
export async function transcribeAudio(
  viewer: Viewer,
  deps: SpeechRuntime,
  args: { readonly agentId?: string | null | undefined; readonly audio: UploadedFile },
  clientGone: AbortSignal | null = null,
): Promise<Transcription> {
  await deps.limit.take(viewer);
  const { data } = args.audio;
  if (data.length === 0) throw badInput(path, 'is empty');
  if (data.length > maxAudioBytes) {
    throw badInput(path, `must have at most ${maxAudioBytes} bytes, and it has ${data.length}`);
  }
  const type = await findAudioType(data);
  if (type === null) throw badInput(path, `must be audio (${audioFormats}), and its content is not`);
  const stt = requireStt(await chooseAgent(viewer, deps.agents, args.agentId));
  const wav = type.extension === 'wav' ? readSound(data, stt) : null;
  const transcription = await deps.work(clientGone, (signal) =>
    measureRequest('transcription', signal, () => transcribe(deps, stt, { data, type, wav }, signal)),
  );
  return {
    ...transcription,
    language: transcription.language ?? stt.language,
    durationMs: transcription.durationMs ?? wav?.durationMs ?? null,
  };
}

/**
 * As {@link transcribeAudio}, for a recording that belongs to a message.
 * @param recording.agentId the row id
 * @returns the text
 * @throws as {@link transcribeAudio} does, and if the recording cannot be read
 */
export async function transcribeRecording(
  viewer: Viewer,
  { speech, files }: { readonly speech: SpeechRuntime; readonly files: AttachmentFiles },
  { agentId, file }: { readonly agentId: string; readonly file: StoredContent },
  signal: AbortSignal,
): Promise<string> {
  const audio = new UploadedFile(await readWholeAttachment(files, file));
  return (await transcribeAudio(viewer, speech, { agentId: formatId('Agent', agentId), audio }, signal)).text;
}

async function transcribe(
  deps: SpeechRuntime,
  stt: TranscriptionEndpoint,
  audio: { readonly data: Buffer; readonly type: AudioType; readonly wav: Wav | null },
  signal: AbortSignal,
): Promise<Transcription> {
  const { transcription: limits } = deps.limits;
  if (stt.protocol === 'http') return await transcribeByHttp(stt, audio, { dial: deps.dialFor(stt), limits, signal });
  if (audio.wav === null) throw badInput(path, 'must be a WAV file for the agent’s provider');
  if (audio.wav.durationMs > maxStreamedMs) {
    throw badInput(path, `must be at most ${maxStreamedMs / 60_000} minutes long for the agent’s provider`);
  }
  return await transcribeBySocket(stt, audio.wav, { guard: stt.guarded ? deps.agents.guard : null, limits, signal });
}

/** Reads a WAV file. Null: its samples are compressed, and only the provider can read them. */
function readSound(data: Buffer, { protocol }: TranscriptionEndpoint): Wav | null {
  try {
    return readWav(data);
  } catch (error) {
    if (!(error instanceof UnreadableWavError)) throw error;
    if (error.compressed && protocol === 'http') return null;
    throw badInput(path, `is a WAV file that cannot be read: ${error.message}`);
  }
}
