import { z } from 'zod';

/** How turns are asked for: all at once, or spread evenly over so many milliseconds. */
export const startsWithin = z.number().nonnegative().default(0);

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

/** What a turn with tools is asked for: model steps, and tool calls, spread over all of them but the last. */
const plan = z.strictObject({ steps: z.int().positive(), calls: z.int().nonnegative() });
export type Plan = z.infer<typeof plan>;

const planned = /^Take (\d+) steps with (\d+) calls\.$/;

/** The user message that makes the endpoint go through a plan. */
export function writePlan({ steps, calls }: Plan): string {
  return `Take ${steps} steps with ${calls} calls.`;
}

/** @returns null when the message is none of writePlan's */
export function readPlan(message: string): Plan | null {
  const [, steps, calls] = planned.exec(message) ?? [];
  return steps === undefined ? null : plan.parse({ steps: Number(steps), calls: Number(calls) });
}

/** How many calls a step of a plan makes; 0 for the last one. @param step the first is 0 */
export function countCalls({ steps, calls }: Plan, step: number): number {
  const calling = steps - 1;
  if (step >= calling) return 0;
  return Math.floor(calls / calling) + (step < calls % calling ? 1 : 0);
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
