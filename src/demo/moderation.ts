import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { errorBody, sendJson } from './playback.ts';

const body = z.looseObject({ input: z.string(), model: z.string().default('omni-moderation-latest') });

/** Which words the demo takes for which category of OpenAI's moderation. */
const words: Readonly<Record<string, RegExp>> = {
  harassment: /\b(idiot|stupid|moron|loser)s?\b/iu,
  hate: /\bhate(s|d|ful)?\b/iu,
  'self-harm': /\b(suicide|hurt myself|kill myself)\b/iu,
  violence: /\b(kill|murder|attack|bomb)(s|ed|ing)?\b/iu,
};

/** Answers POST /v1/moderations, by words: the same text always gets the same answer. */
export async function answerModeration(
  sent: Buffer,
  _incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const parsed = body.safeParse(parse(sent));
  if (!parsed.success) return sendJson(response, 400, errorBody(400, 'The body must be {"model": "…", "input": "…"}.'));
  const { input, model } = parsed.data;
  const categories = Object.fromEntries(Object.entries(words).map(([name, pattern]) => [name, pattern.test(input)]));
  const scores = Object.entries(categories).map(([name, flagged]) => [name, flagged ? 0.97 : 0.01]);
  const flagged = Object.values(categories).includes(true);
  const results = [{ flagged, categories, category_scores: Object.fromEntries(scores) }];
  sendJson(response, 200, { id: 'modr-demo', model, results });
}

function parse(sent: Buffer): unknown {
  try {
    return JSON.parse(sent.toString('utf8'));
  } catch {
    return undefined;
  }
}
