import { Attachment } from '../../conversations/graphql/message-types.ts';
import { builder } from '../../graphql/builder.ts';
import { mentionOf } from '../take.ts';
import { uploadAttachment } from '../upload.ts';

builder.mutationField('uploadAttachment', (t) =>
  t.field({
    type: Attachment,
    description:
      'Stores a file for a message: name its id in `attachmentIds` of a turn or of `createMessage`. It belongs to the viewer, and is deleted if no message takes it within ATTACHMENT_TTL_SECONDS (default 86,400). Its content decides what it is: models are given images (PNG, JPEG, WebP, GIF) scaled down, of PDF, DOCX, HTML and other texts the text, and of recordings what is said in them. Of any other file they are told its name and type. RATE_LIMITED beyond RATE_LIMIT_UPLOADS, CONFLICT if the user or the tenant has stored too much.',
    args: {
      file: t.arg({
        type: 'File',
        required: true,
        description:
          'The file, in a multipart request. At most ATTACHMENT_MAX_MB (default 20) megabytes; images at most 50 megapixels. What its name and its declared type say must agree with its content.',
      }),
    },
    resolve: async (_root, { file }, context) =>
      mentionOf(await uploadAttachment(context.viewer, context.attachments, file, context.signal)),
  }),
);
