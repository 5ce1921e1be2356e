import { z } from 'zod';
import { stemsOf } from './intents.ts';
import type { ReceivedRequest } from './steps.ts';

const format = z.looseObject({ type: z.literal('json_schema') });
/** A request for structured output, as each of the two APIs has it. */
const structured = z.union([
  z.looseObject({ response_format: format.extend({ json_schema: z.looseObject({ name: z.literal('verdict') }) }) }),
  z.looseObject({ text: z.looseObject({ format: format.extend({ name: z.literal('verdict') }) }) }),
]);

/** What stands in the question of a guardrail for the text. */
const asked = /Answer this question about it: (.*)\n/u;
/** Words of questions that say nothing of what is asked for. */
const questionWords = new Set(['text', 'contain', 'mention', 'speak', 'talk', 'anybody', 'somebody', 'advice']);

/**
 * The verdict of the demo model on a text for which a guardrail asks: yes, if a word of the question is in it.
 * @returns undefined: it is not asked for a verdict
 */
export function judge({ body, instructions, messages }: ReceivedRequest) {
  if (!structured.safeParse(body).success) return undefined;
  const question = asked.exec(instructions)?.[1] ?? '';
  const last = messages.at(-1);
  const said = stemsOf(last?.role === 'user' ? last.content : '');
  const shared = [...stemsOf(question)].find(([stem, word]) => !questionWords.has(word) && said.has(stem));
  const reasoning =
    shared === undefined ? 'No word of the question is in the text.' : 'A word of the question is in the text.';
  return { flagged: shared !== undefined, confidence: 0.9, reasoning };
}
