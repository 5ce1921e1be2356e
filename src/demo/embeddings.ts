import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { errorBody, sendJson } from './playback.ts';

/** The name of the demo's embedding model. */
export const demoEmbeddingModel = 'switchboard-demo-embedding';

const defaultDimensions = 256;

const body = z.looseObject({
  model: z.string().min(1),
  input: z.union([z.string().transform((text) => [text]), z.array(z.string()).min(1).max(2_048)]),
  encoding_format: z.enum(['float', 'base64']).default('float'),
  dimensions: z.int().min(8).max(4_000).default(defaultDimensions),
});

/**
 * Answers POST /v1/embeddings. The vectors are sums of directions, one for each word and for each of its groups of four
 * letters, drawn from a hash: texts with the same words, or with other forms of them, point the same way. The same text always
 * gets the same vector.
 */
export async function answerEmbeddings(
  sent: Buffer,
  _incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const parsed = body.safeParse(parse(sent));
  if (!parsed.success) {
    const usage = 'The body must be {"model": "…", "input": ["…"]}, with dimensions from 8 to 4,000.';
    return sendJson(response, 400, errorBody(400, usage));
  }
  const { model, input, dimensions, encoding_format: format } = parsed.data;
  const data = input.map((text, index) => {
    const vector = embedText(text, dimensions);
    const embedding = format === 'float' ? vector : Buffer.from(Float32Array.from(vector).buffer).toString('base64');
    return { object: 'embedding', index, embedding };
  });
  const tokens = input.reduce((sum, text) => sum + Math.ceil(text.length / 4), 0);
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  sendJson(response, 200, { object: 'list', model, data, usage });
}

/**
 * The vector of a text, of the length 1: its words and their groups of letters are hashed to directions, as fastText does (P.
 * Bojanowski et al., "Enriching Word Vectors with Subword Information", 2017). A word weighs more the longer it is, since rare
 * words are long ones, and less with each time that it is repeated.
 */
function embedText(text: string, dimensions: number): number[] {
  const vector = new Array<number>(dimensions).fill(0);
  const add = (feature: string, weight: number) => {
    const hash = createHash('md5').update(feature).digest();
    // Four places for each: so two features that share one place are still told apart.
    for (let at = 0; at < 16; at += 4) {
      const drawn = hash.readUInt32LE(at);
      const place = (drawn >>> 1) % dimensions;
      vector[place] = (vector[place] ?? 0) + (drawn % 2 === 0 ? weight : -weight);
    }
  };
  // A text without a word is a direction of its own, not zero.
  add('', 0.01);
  const counts = new Map<string, number>();
  for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{N}]+/gu))
    if (!stopWords.has(word)) counts.set(word, (counts.get(word) ?? 0) + 1);
  for (const [word, count] of counts) {
    const weight = Math.log(1 + word.length) * (1 + Math.log(count));
    const bounded = `<${word.replace(/s$/u, '')}>`;
    const groups = lettersOfGroup.flatMap((length) =>
      Array.from({ length: bounded.length > length ? bounded.length - length + 1 : 0 }, (_, from) =>
        bounded.slice(from, from + length),
      ),
    );
    add(bounded, weight);
    // Together twice as much as the word, of however many letters it is.
    for (const group of groups) add(group, (2 * weight) / Math.sqrt(groups.length));
  }
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

const lettersOfGroup = [3, 4];

/** English words that stand in texts of all kinds. */
const stopWords = new Set(
  (
    'a about after all also am an and any are as at be because been before being both but by can could did do does done each ever ' +
    'every few find for from get had has have he her here him his how i if in into is it its just know made make many may me might ' +
    'more most much must my need no nor not now of on one only or other our out over please said same say says she should so some ' +
    'such tell than that the their them then there these they thing things this those through to too under until up us use very ' +
    'want was we were what when where which while who whom why will with would you your'
  ).split(' '),
);

function parse(sent: Buffer): unknown {
  try {
    return JSON.parse(sent.toString('utf8'));
  } catch {
    return undefined;
  }
}
