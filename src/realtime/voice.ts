import { ttsConfig } from '../agents/providers/config.ts';
import type { ResolvedAgent } from '../agents/resolve.ts';

/** The voices of OpenAI's realtime models: fewer than those of its other speech models. */
const realtimeVoices = /^(alloy|ash|ballad|cedar|coral|echo|marin|sage|shimmer|verse)$/;

/**
 * The voice of an agent in a realtime session: that of its text-to-speech provider, if realtime models have it too.
 * @param usual the server's; null: the provider's own
 */
export function chooseVoice(resolved: ResolvedAgent | undefined, usual: string | null): string | null {
  const own = ttsConfig.safeParse(resolved?.agent.tts);
  const voice = own.data?.voice ?? null;
  return voice !== null && realtimeVoices.test(voice) ? voice : usual;
}
