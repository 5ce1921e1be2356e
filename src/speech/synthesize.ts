import { ConflictError } from '../api/errors.ts';
import { badInput, parseInput, text } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import { openSpeech } from '../providers/speech/synthesis.ts';
import { chooseAgent } from './choose-agent.ts';
import { formatClipId, makeClip } from './clips.ts';
import type { SpeechRuntime } from './dependencies.ts';

/** Where clips are fetched, before their ids. */
export const clipPath = '/speech/';

const spokenText = text(1, 10_000);

/** A text that was spoken. */
export interface SpeechResult {
  /** A path of this server: what the sound is fetched from, with the access token of the one who had it made. */
  readonly url: string;
  readonly mediaType: string;
  /** In bytes. */
  readonly size: number;
}

/**
 * Has a text spoken by an agent's provider, and keeps the sound for a while.
 * @param args.agentId the public id; without one, the viewer's current agent
 * @param args.text 1 to 10,000 characters
 * @param left aborts when the client leaves: nothing is spoken for nobody
 * @throws {BadUserInputError} when the text is empty or too long
 * @throws {ConflictError} when the agent has no provider for it
 * @throws {ProviderError} when the provider does not do it
 * @throws {RateLimitedError} when the viewer asks too often, or keeps too much that has not expired
 */
export async function synthesizeSpeech(
  viewer: Viewer,
  deps: SpeechRuntime,
  args: { readonly agentId?: string | null | undefined; readonly text: string },
  left: AbortSignal | null = null,
): Promise<SpeechResult> {
  const spoken = parseInput(spokenText, args.text, ['text']);
  if (spoken.trim() === '') throw badInput(['text'], 'must hold something that can be spoken');
  await deps.limit.take(viewer);
  const { agent, tts } = await chooseAgent(viewer, deps.agents, args.agentId);
  if (tts === null) {
    throw new ConflictError(`The agent ${agent.name} does not speak: it has no text-to-speech provider (tts).`);
  }
  const { speech: limits } = deps.limits;
  const clip = await deps.work(left, (signal) =>
    makeClip(viewer, deps.db, { maxBytes: limits.maxBytes, ttlMs: deps.ttlMs }, async (write) => {
      const speech = await openSpeech(tts, spoken, { dial: deps.dialFor(tts), limits, signal });
      try {
        return await write({ mediaType: speech.type.mediaType, chunks: speech.chunks });
      } finally {
        await speech.close();
      }
    }),
  );
  return { url: clipPath + formatClipId(clip.id), mediaType: clip.mediaType, size: clip.size };
}
