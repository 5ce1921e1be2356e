import { z } from 'zod';
import { cleanText } from '../../engine/text.ts';
import { badSpeechAnswer, speechFailure } from './failures.ts';
import { languageName } from './transcription.ts';

const seconds = z.coerce.number().min(0).max(1_000_000);
const segmentForm = z.object({
  start: seconds,
  end: seconds,
  text: z.string(),
  completed: z.boolean().nullish(),
});

const maxSegments = 20_000;

/** A piece of what was said. Times are in seconds from the beginning. */
export type Segment = z.output<typeof segmentForm>;

const messageForm = z.object({
  uid: z.string().nullish(),
  status: z.string().nullish(),
  message: z.unknown().optional(),
  language: languageName.nullish().catch(null),
  segments: z.array(segmentForm).max(1_000).nullish(),
});

/** What a message of WhisperLive means. */
export type Transcript =
  | { readonly type: 'ready' | 'end' | 'nothing' }
  | { readonly type: 'language'; readonly language: string }
  | { readonly type: 'segments'; readonly segments: readonly Segment[] };

/**
 * Reads a message.
 * @param uid what the connection was named in its configuration: messages for others mean nothing
 * @throws {ProviderError} when it cannot be read, or says that the server does not do it
 */
export function readWhisperMessage(text: string, uid: string): Transcript {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw badSpeechAnswer('transcription', 'sent a message that cannot be read.');
  }
  const read = messageForm.safeParse(json);
  if (!read.success) throw badSpeechAnswer('transcription', 'sent a message that cannot be read.');
  const { status, message, language, segments } = read.data;
  if (read.data.uid && read.data.uid !== uid) return { type: 'nothing' };
  if (status === 'WAIT') {
    const full = { problem: 'RATE_LIMITED', retryable: true } as const;
    throw speechFailure('transcription', 'is full: try again in a moment.', full);
  }
  if (status === 'ERROR') {
    const failed = { problem: 'OTHER', retryable: false } as const;
    throw speechFailure('transcription', 'failed: check its model.', failed);
  }
  if (message === 'SERVER_READY') return { type: 'ready' };
  if (message === 'DISCONNECT') return { type: 'end' };
  if (segments) return { type: 'segments', segments };
  return language ? { type: 'language', language } : { type: 'nothing' };
}

/** What was written down so far: the segments that will not change any more, and the one that still does. */
export class WhisperTranscript {
  language: string | null = null;
  /** Grows with everything new. */
  version = 0;
  readonly #maxCharacters: number;
  readonly #completed: Segment[] = [];
  #open: Segment | null = null;
  #characters = 0;

  constructor(maxCharacters: number) {
    this.#maxCharacters = maxCharacters;
  }

  /** Up to where everything was written down for good, in milliseconds. */
  get completedMs(): number {
    return (this.#completed.at(-1)?.end ?? 0) * 1_000;
  }

  /** Up to where something was written down, be it for good or not, in milliseconds. */
  get reachedMs(): number {
    return Math.max(this.completedMs, (this.#open?.end ?? 0) * 1_000);
  }

  /** Whether no segment is open. */
  get completed(): boolean {
    return this.#open === null;
  }

  get text(): string {
    const pieces = [...this.#completed, ...(this.#open ? [this.#open] : [])].map((segment) => segment.text.trim());
    return cleanText(pieces.filter((piece) => piece !== '').join(' '));
  }

  /**
   * Takes a message's segments in: the last completed ones, which come again and again, and mostly an open one.
   * @throws {ProviderError} when the text becomes too long
   */
  add(segments: readonly Segment[]): void {
    let open: Segment | null = null;
    let changed = false;
    for (const [index, segment] of segments.entries()) {
      // Older servers do not say: only the last one can still be open.
      if (!(segment.completed ?? index < segments.length - 1)) {
        open = segment;
        continue;
      }
      if (segment.start * 1_000 < this.completedMs - 1) continue;
      this.#completed.push(segment);
      this.#characters += segment.text.length;
      changed = true;
    }
    if (changed || open?.text !== this.#open?.text) this.version += 1;
    this.#open = open;
    if (this.#characters + (open?.text.length ?? 0) > this.#maxCharacters || this.#completed.length > maxSegments) {
      throw badSpeechAnswer('transcription', 'sent an answer that is too large.');
    }
  }
}
