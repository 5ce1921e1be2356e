import { z } from 'zod';

/** What the process that reads documents is asked. */
export const parseRequest = z.object({
  id: z.int(),
  data: z.instanceof(Uint8Array<ArrayBufferLike>),
  mediaType: z.string(),
  wanted: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('chunks'), maxChunks: z.int() }),
    z.object({ kind: z.literal('text'), maxCharacters: z.int() }),
  ]),
});
export type ParseRequest = z.output<typeof parseRequest>;

const chunk = z.object({ headings: z.array(z.string()), text: z.string(), contentHash: z.string() });

/** What it answers. `unreadable`: the document is to blame, and the reason says how. */
export const parseAnswer = z.discriminatedUnion('outcome', [
  z.object({ id: z.int(), outcome: z.literal('read'), chunks: z.array(chunk), words: z.array(z.string()) }),
  z.object({ id: z.int(), outcome: z.literal('text'), text: z.string(), isCut: z.boolean() }),
  z.object({ id: z.int(), outcome: z.literal('unreadable'), reason: z.string() }),
]);
export type ParseAnswer = z.output<typeof parseAnswer>;
