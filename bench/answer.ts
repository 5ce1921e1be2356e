import { z } from 'zod';

/** What a turn is asked for: so many tokens, so many a second; 0 a second means as fast as it can. */
export const ask = z.strictObject({ tokens: z.int().positive(), perSecond: z.number().nonnegative() });
export type Ask = z.infer<typeof ask>;

const asked = /^Say (\d+) tokens at (\d+) a second\.$/;

/** The user message that makes the endpoint answer so. It is all that the endpoint is told. */
export function writeAsk({ tokens, perSecond }: Ask): string {
  return `Say ${tokens} tokens at ${perSecond} a second.`;
}

/** @throws when the message is none of writeAsk's */
export function readAsk(message: string): Ask {
  const [, tokens, perSecond] = asked.exec(message) ?? [];
  return ask.parse({ tokens: Number(tokens), perSecond: Number(perSecond) });
}

/** The token in a place of every answer: all differ, so that a lost, doubled or swapped one is seen. */
export function tokenAt(place: number): string {
  return ` ${place.toString(36)}`;
}

/** An answer, and where each of its tokens ends in it. */
export interface Answer {
  readonly text: string;
  readonly ends: readonly number[];
}

/** The whole answer of so many tokens. */
export function writeAnswer(tokens: number): Answer {
  let text = '';
  const ends: number[] = [];
  for (let place = 0; place < tokens; place++) {
    text += tokenAt(place);
    ends.push(text.length);
  }
  return { text, ends };
}
