import { formatId } from '../../api/ids.ts';
import { badInput } from '../../api/input.ts';
import { pathOfAttachment } from '../../attachments/files.ts';
import { signAddress } from '../../attachments/signed-address.ts';
import type { Message } from '../../generated/prisma/client.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { includeUnder, loadNode } from '../../graphql/selection.ts';
import { type Attachment as AttachmentShape, storedAttachments } from '../attachment.ts';
import { readBranches, readParents } from '../branches.ts';
import { isBeginning, usualPreviewLength } from '../last-message.ts';
import { readMessagesById } from '../load-messages.ts';
import { readMessage } from '../messages.ts';
import { previewMessage } from '../preview.ts';
import { makePreview } from '../text.ts';

/** Roles of messages in the graph. */
export const MessageRole = builder.enumType('MessageRole', {
  description: 'The author of a message.',
  values: {
    USER: { description: 'The user.' },
    ASSISTANT: { description: 'An agent.' },
    SYSTEM: { description: 'The application. Agents read it as an instruction.' },
  } as const,
});

const MessageStatus = builder.enumType('MessageStatus', {
  description: 'The state of a message.',
  values: {
    COMPLETE: { description: 'The message is complete.' },
    STREAMING: { description: 'An agent is writing the message.' },
    PARTIAL: { description: 'The run failed or was cancelled. The text up to that point is stored.' },
    REDACTED: { description: 'The message is complete, and a guardrail has replaced something of its text.' },
    BLOCKED: {
      description:
        'A guardrail has blocked the message. Its author can still read it, but no model is given it, and it is in no title, preview and search.',
    },
  } as const,
});

const MessageSource = builder.enumType('MessageSource', {
  description: 'The origin of a message.',
  values: {
    CHAT: { description: 'It belongs to a turn, or a user wrote it.' },
    REALTIME: { description: 'It comes from the transcript of a realtime session.' },
    IMPORT: { description: '`createMessage` added it on behalf of an agent or the application.' },
  } as const,
});

/** Attachments in the graph. */
export const Attachment = builder.objectRef<AttachmentShape>('Attachment').implement({
  description:
    'A file that belongs to a message: one that was uploaded with `uploadAttachment`, or a reference to one elsewhere.',
  fields: (t) => ({
    id: t.exposeID('id', {
      nullable: true,
      description:
        'The id of an upload, such as `att_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`. Null: the file was given by its URL.',
    }),
    name: t.exposeString('name', { description: 'The file name to show to people. Example: `invoice.pdf`.' }),
    type: t.exposeString('type', { description: 'The media type. Example: `image/png`.' }),
    url: t.string({
      description:
        'The http or https URL of the file. Of an upload, its path on this server: only its owner can fetch it, with the header `Authorization: Bearer <access token>`. Example: `/attachments/att_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      resolve: ({ id, url }) => (id === null ? url : pathOfAttachment(id)),
    }),
    signedUrl: t.string({
      nullable: true,
      description:
        'Of an upload, its path on this server with a signature: whoever has it can fetch the file without an access token, as an `<img>` does, until it expires: ATTACHMENT_URL_SECONDS (default 3,600) after it was read at the latest, and after half of that time at the earliest. Ask again for a new one. It is the same for half of that time, and it is made for the viewer. Null: the file was given by its URL, or it is read with `sharedConversation`, with an access token or without one. Example: `/attachments/att_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17?access=1767225600.k1.…`.',
      resolve: ({ id }, _args, context) => {
        if (id === null || !context.authenticated) return null;
        const { keys, bounds } = context.attachments;
        return signAddress(keys, context.viewer, id, { now: Date.now(), urlMs: bounds.urlMs });
      },
    }),
    size: t.exposeInt('size', { description: 'The size in bytes.' }),
    notice: t.exposeString('notice', {
      nullable: true,
      description:
        'What the model is not given of a file, and why, for the user: it is told so, too. Of one that was given by its URL, it is there when the run has read it. Null: the model is given all of it, or the URL alone (ATTACHMENT_FETCH).',
    }),
    knowledgeBaseId: t.exposeID('knowledgeBaseId', {
      nullable: true,
      description:
        'The knowledge base that the file was to become a document of. Null if there is none, and none was made of a message that guardrails have blocked.',
    }),
  }),
});

/** Attachments as clients give them; turns take them too. */
export const AttachmentInput = builder.inputType('AttachmentInput', {
  description:
    'A reference to a file that belongs to a message. The run that the message begins or joins reads it from its URL, once, unless ATTACHMENT_FETCH is false: models are given images scaled down, and of PDF, DOCX, HTML and other texts the text, as of uploads. What they are given is stored with the conversation, and takes room of the user. The file itself is stored only as a document of a knowledge base, if one is named, or if it is a recording.',
  fields: (t) => ({
    name: t.string({
      required: true,
      description: 'The file name to show to people, 1 to 255 characters. Example: `invoice.pdf`.',
    }),
    type: t.string({
      required: true,
      description:
        'The media type, 1 to 255 characters. The content must agree with it if it names an image, a PDF, a DOCX file, sound or video. Example: `image/png`.',
    }),
    url: t.string({
      required: true,
      description:
        'The http or https URL of the file, at most 2,048 characters. It is read without a token and without cookies; private addresses are refused unless MODEL_ALLOWED_HOSTS lists them. Example: `https://files.example.com/invoice.pdf`.',
    }),
    size: t.int({ required: true, description: 'The size in bytes.' }),
    knowledgeBaseId: t.id({
      description:
        'A knowledge base that the viewer may change: when the message is stored, the file becomes a document of it, once, and is read from its URL as those of `addKnowledgeDocument` are. `name` is its title; `type` must be one that documents can have, or `application/octet-stream`. The file is read later: `KnowledgeDocument.status` says how far it is. Null: it is added to none.',
    }),
  }),
});

const FinishReason = builder.enumType('FinishReason', {
  description: 'Why a model stopped writing a message.',
  values: {
    STOP: { description: 'The message is complete.' },
    LENGTH: { description: 'The message was cut at a token limit (`maxTokens`, or the model’s own).' },
    FILTERED: { description: 'The model refused, or a filter of its provider stopped it.' },
    CANCELLED: { description: 'The run was cancelled.' },
    ERROR: { description: 'The run failed.' },
  } as const,
});

/** States of tool calls in the graph. */
export const ToolCallStatus = builder.enumType('ToolCallStatus', {
  description: 'The state of a tool call.',
  values: {
    PENDING: { description: 'The call has not started yet. If it needed an approval, it is approved.' },
    AWAITING_APPROVAL: { description: 'The call waits for the user’s decision through `approveToolCall`.' },
    RUNNING: { description: 'The tool is running.' },
    SUCCEEDED: { description: 'The tool returned a result.' },
    FAILED: { description: 'The call failed. The model receives the error and continues.' },
    DENIED: { description: 'The user denied the call. The model is told so and continues.' },
    CANCELLED: { description: 'The turn ended before the tool returned a result.' },
    UNKNOWN: {
      description:
        'The server stopped during the call. It may have been carried out: check that before you call the tool again.',
    },
  } as const,
});

/** Previews of messages of which only the beginning was read, and that has too few visible characters. */
const loadPreview = batchField(
  ({ id }: Pick<Message, 'id'>) => id,
  async (messages, { length }: { readonly length: number }, context) => {
    const ids = messages.map(({ id }) => id);
    const whole = await readMessagesById(context.viewer, context, ids, {});
    return whole.map((message) =>
      message === null || message instanceof Error ? (message ?? '') : makePreview(message.content, length),
    );
  },
);

/** Messages in the graph. */
export const MessageRef = builder.prismaObject('Message', {
  fields: (t) => ({
    role: t.field({
      type: MessageRole,
      description: 'The author: the user, an agent or the application.',
      resolve: (message) => message.role,
    }),
    status: t.field({
      type: MessageStatus,
      description:
        'The state of the message. PARTIAL if its run failed or was cancelled: the text up to that point is stored.',
      resolve: (message) => message.status,
    }),
    finishReason: t.field({
      type: FinishReason,
      nullable: true,
      description: 'Why the model stopped. Null if it is still writing, or if no model wrote the message.',
      resolve: (message) => message.finishReason,
    }),
    content: t.exposeString('content', {}),
    preview: t.string({
      complexity: 1,
      description:
        'The beginning of the text on one line, with `…` at the end if the text is longer; `[BLOCKED]` if a guardrail has blocked the message.',
      args: {
        length: t.arg.int({
          defaultValue: usualPreviewLength,
          description: 'The maximum length in characters, 1 to 1,000, `…` included.',
        }),
      },
      resolve: (message, { length }, context, info) => {
        const most = length ?? usualPreviewLength;
        if (most < 1 || most > 1_000) throw badInput(['length'], 'must be an integer from 1 to 1,000');
        const preview = previewMessage(message, isBeginning(message), most);
        return preview ?? loadPreview(message, { length: most }, context, info);
      },
    }),
    agent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'The agent that wrote the message. Null for messages of the user and of the application.',
      resolve: ({ agentId }, _args, context) => (agentId === null ? null : context.agents.load(agentId)),
    }),
    attachments: t.field({
      type: [Attachment],
      description: 'The files that belong to the message.',
      resolve: (message) => storedAttachments.parse(message.attachments),
    }),
    source: t.field({
      type: MessageSource,
      description: 'The origin of the message.',
      resolve: (message) => message.source,
    }),
    position: t.exposeInt('position', {
      nullable: true,
      description:
        'The position in the active branch of the conversation, from 1 without gaps. Null for messages of branches that are not the active one, and for the user message of a turn that waits in the queue.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the message was created.' }),
  }),
});

const idOf = ({ id }: Pick<Message, 'id'>) => id;

builder.prismaObjectFields(MessageRef, (t) => ({
  parent: t.field({
    type: MessageRef,
    nullable: true,
    description: 'The message before it in its branch. Null for the first one, and while it waits in the queue.',
    resolve: batchField(idOf, (messages: readonly Message[], _args: object, context, info) =>
      readParents(context.viewer, context, messages, includeUnder(context, info, 'Message')),
    ),
  }),
  branches: t.field({
    type: [MessageRef],
    // Nearly every message has no branch but itself.
    complexity: { field: 2, multiplier: 2 },
    description:
      'The branches that begin here: the message itself and the other messages that follow the same message, the oldest first. Choose one with `selectBranch`; `chatTurn` makes one with `editMessageId` or `regenerateMessageId`.',
    resolve: batchField(idOf, (messages: readonly Message[], _args: object, context, info) =>
      readBranches(context.viewer, context, messages, includeUnder(context, info, 'Message')),
    ),
  }),
}));

builder.nodeRef(MessageRef, {
  id: { resolve: (message: typeof MessageRef.$inferType) => message.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(readMessage(context.viewer, context, formatId('Message', row), includeUnder(context, info, 'Message'))),
});
