import { requireTts } from '../agents/resolve.ts';
import { parseInput, text } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import { openSpeech } from '../providers/speech/synthesis.ts';
import { measureRequest } from '../telemetry/provider-request.ts';
import { chooseAgent } from './choose-agent.ts';
import { createClip, formatClipId } from './clips.ts';
import type { SpeechRuntime } from './dependencies.ts';

/** The path of clips, before their ids. */
export const clipPath = '/speech/';

const spokenText = text(1, 10_000).refine((value) => value.trim() !== '', 'must contain something that can be spoken');

/** Synthesized speech. */
export interface SpeechResult {
  /** The path of the audio on this server, for the user who requested it. */
  readonly url: string;
  readonly mediaType: string;
  /** The size of the audio, in bytes. */
  readonly size: number;
}

/**
 * Synthesizes speech with an agent's text-to-speech provider, and stores the audio for a limited time.
 * @param args.agentId the public id; absent: the viewer's default agent
 * @param args.text 1 to 10,000 characters
 * @param clientGone aborts when the client disconnects, which ends the request to the provider
 * @throws {RateLimitedError} if the viewer calls it too often, or has too many clips that have not expired
 * @throws {BadUserInputError} if the text is empty or too long, or for the agent
 * @throws {NotFoundError | ForbiddenError} for the agent
 * @throws {ConflictError} if the agent has no text-to-speech provider that it may use
 * @throws {ProviderError} if the provider fails
 */
export async function synthesizeSpeech(
  viewer: Viewer,
  deps: SpeechRuntime,
  args: { readonly agentId?: string | null | undefined; readonly text: string },
  clientGone: AbortSignal | null = null,
): Promise<SpeechResult> {
  await deps.limit.take(viewer);
  const spoken = parseInput(spokenText, args.text, ['text']);
  const tts = requireTts(await chooseAgent(viewer, deps.agents, args.agentId));
  const { speech: limits } = deps.limits;
  const clip = await deps.work(clientGone, (signal) =>
    createClip(viewer, deps.db, { maxBytes: limits.maxBytes, ttlMs: deps.ttlMs }, (write) =>
      measureRequest('speech', signal, async () => {
        const speech = await openSpeech(tts, spoken, { dial: deps.dialFor(tts), limits, signal });
        try {
          const { type, chunks, readHead } = speech;
          return await write({ mediaType: type.mediaType, chunks, readHead });
        } finally {
          await speech.close();
        }
      }),
    ),
  );
  return { url: clipPath + formatClipId(clip.id), mediaType: clip.mediaType, size: clip.size };
}
