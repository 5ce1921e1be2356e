import { z } from 'zod';

/** What a turn is asked to say: so many pieces of so many bytes, so many a second; 0 a second means as fast as it can. */
export const speech = z.strictObject({
  pieces: z.int().positive(),
  bytes: z.int().min(6),
  perSecond: z.number().nonnegative(),
});
export type Speech = z.infer<typeof speech>;

const asked = /^Say (\d+) pieces of (\d+) bytes at ([\d.]+) a second\.$/;

/** The user message that makes the model say so. It is all that the model is told, however often it is asked. */
export function writeSpeech({ pieces, bytes, perSecond }: Speech): string {
  return `Say ${pieces} pieces of ${bytes} bytes at ${perSecond} a second.`;
}

/** @throws when the message is none of writeSpeech's */
export function readSpeech(message: string): Speech {
  const [, pieces, bytes, perSecond] = asked.exec(message) ?? [];
  return speech.parse({ pieces: Number(pieces), bytes: Number(bytes), perSecond: Number(perSecond) });
}

/** The piece in a place of a speech: all differ, so that a lost, doubled or swapped one is seen. */
export function pieceAt(place: number, bytes: number): string {
  return ` ${place.toString(36)}`.padEnd(bytes, '.');
}

const texts = new Map<string, string>();
/** All that a turn has to say. */
export function textOf({ pieces, bytes }: Speech): string {
  const name = `${pieces} ${bytes}`;
  const known = texts.get(name);
  if (known !== undefined) return known;
  const text = Array.from({ length: pieces }, (_, place) => pieceAt(place, bytes)).join('');
  texts.set(name, text);
  return text;
}
