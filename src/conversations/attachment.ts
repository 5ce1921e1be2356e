import { z } from 'zod';
import { integer, list, text } from '../api/input.ts';
import { maxAttachments } from '../attachments/take.ts';

const attachment = z.strictObject({
  name: text(1, 255),
  type: text(1, 255),
  // Only schemes that a browser can open safely: not data: and never javascript:.
  url: text(1, 2_048).refine(isWebUrl, 'must be an http or https URL'),
  size: integer(0, 2_147_483_647),
  knowledgeBaseId: text(1, 255)
    .nullish()
    .transform((value) => value ?? null),
});

/** The attachments of a message or a turn in an input. */
export const attachmentsInput = list(attachment, maxAttachments);

/** The uploads of a message or a turn in an input; `findTaken` reads them. */
export const attachmentIdsInput = list(z.string(), maxAttachments);

/** Attachments of an input as they are stored: none of them is an upload. */
export function byAddress(given: z.output<typeof attachmentsInput>): Attachment[] {
  return given.map((entry) => ({ ...entry, id: null, notice: null }));
}

/** The attachments of a message as they are stored. */
export const storedAttachments = z.array(
  z.object({
    name: z.string(),
    type: z.string(),
    url: z.string(),
    size: z.int(),
    knowledgeBaseId: z.string().nullable().default(null),
    /** The public id of an upload. Null: it was given by its address. */
    id: z.string().nullable().default(null),
    /** What models are not given of it, and why. Null: they are given all of it. */
    notice: z.string().nullable().default(null),
    /** Of one that was given by its address, the public id of what was read there. Absent: nothing. */
    fileId: z.string().optional(),
    /** Whether nothing was read there for a reason that passes: the next run of its message reads it. Absent: no. */
    isPassing: z.boolean().optional(),
  }),
);
export type Attachment = z.output<typeof storedAttachments>[number];
/** An attachment to store. */
export type AttachmentDraft = z.input<typeof storedAttachments>[number];

function isWebUrl(value: string): boolean {
  const url = URL.parse(value);
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:');
}
