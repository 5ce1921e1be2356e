import { expect } from 'vitest';
import type { OpenTransport, Transcript, TurnStream } from './transports.ts';
import { openWire } from './wire.ts';

/** Who reads, and by which transport. */
export interface CutReader {
  readonly open: OpenTransport;
  /** The address of the app. */
  readonly url: string;
  readonly token: string;
}

/**
 * Reads a stream up to the event at a place in the transcript, from 1; there the wire is cut, and nothing more of it
 * is read.
 * @returns false where the stream has ended before
 */
export async function readUntilCut(
  { open, url, token }: CutReader,
  stream: TurnStream,
  transcript: Transcript,
  place: number,
): Promise<boolean> {
  await using wire = await openWire(url);
  await using reader = open(wire.url, token, 0);
  let cut = false;
  const reading = reader.follow(stream, (event) => {
    if (cut) return;
    transcript.take(event);
    if (transcript.events.length < place) return;
    cut = true;
    wire.cut();
  });
  await reading.catch((error: unknown) => {
    if (!cut) throw error;
  });
  return cut;
}

/** Each event comes once, in the order of the turn. */
export function expectNoRepeats({ events }: Transcript): void {
  for (const [index, event] of events.entries()) expect(event.seq).toBeGreaterThan(events[index - 1]?.seq ?? 0);
}
