import { AttachmentInput } from '../../conversations/graphql/message-types.ts';
import { CreateConversationInput } from '../../conversations/graphql/mutations.ts';
import { builder } from '../../graphql/builder.ts';

const BusyStrategy = builder.enumType('BusyStrategy', {
  description: 'What happens to a new turn if the conversation already has an unfinished run.',
  values: {
    REJECT: {
      description: 'The new turn is refused with CONFLICT. `extensions.runId` is the id of the unfinished run.',
    },
    ENQUEUE: { description: 'The new turn waits, as QUEUED, until the turns before it have ended.' },
    STEER: {
      description:
        'The message joins the run that is under way, before its next model step: the answer is that run, from its MessageSteered on. If the run ends first, the message becomes a turn of its own. `agentId`, the model settings and the context snapshot count only then. Not together with `editMessageId` or `regenerateMessageId`.',
    },
    INTERRUPT: {
      description:
        'The turns before it are cancelled, and the new turn starts. Text that they have written is stored as PARTIAL.',
    },
  } as const,
});

const DisconnectMode = builder.enumType('DisconnectMode', {
  description: 'What happens to a run when its last subscriber disconnects.',
  values: {
    CONTINUE: {
      description:
        'The run continues. Subscribe again at any time with the same `idempotencyKey`, or with `runEvents`.',
    },
    CANCEL: { description: 'The run is cancelled.' },
  } as const,
});

/** ChatTurnInput: the argument of chatTurn, startRun and sendMessage. */
export const chatTurnInput = builder.inputType('ChatTurnInput', {
  description: 'One turn: the message of the user, and how to answer it.',
  fields: (t) => ({
    conversationId: t.id({
      required: true,
      description: 'The conversation’s id, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
    }),
    newConversation: t.field({
      type: CreateConversationInput,
      description:
        'Creates the conversation together with its first turn: `conversationId` is then a new id of the client’s choice, and `newConversation.id` is the same or omitted. If the viewer has a conversation of that id already, the turn goes on in it if it is what the input says; otherwise it is CONFLICT. If it is somebody else’s, FORBIDDEN.',
    }),
    content: t.string({
      description:
        'The text of the user message, 1 to 100,000 characters. Required unless `regenerateMessageId` is given.',
    }),
    editMessageId: t.id({
      description:
        'A user message of the conversation whose place the turn takes: a branch begins beside it and becomes the active one. The message and all that followed it stay, see `Message.branches`. A message has at most 100 branches.',
    }),
    regenerateMessageId: t.id({
      description:
        'The answer is made again: a branch begins beside it and becomes the active one. The id of the answer or of its user message. `content` and `attachments` are then left out.',
    }),
    idempotencyKey: t.string({
      required: true,
      description:
        'A key of your choice that is unique in the conversation, 1 to 255 characters, such as a new UUID per message. Sending the same key again attaches to the run that it started, so retries and repeated subscriptions are safe. The same key with another content is a CONFLICT.',
    }),
    after: t.int({
      description:
        'Return only events with a higher `seq`. Use it to attach again without repeated events. Default: 0, all events.',
    }),
    agentId: t.id({
      description:
        'The agent that answers this turn and becomes the active agent. In a scenario, it must be one of its members. If omitted, the active agent answers.',
    }),
    contextSnapshotId: t.id({
      description:
        'The context snapshot that the agent which begins the turn is given with its instructions, as data: one of the user’s own that has not expired. Later turns are not given it, unless they name it too.',
    }),
    attachments: t.field({
      type: [AttachmentInput],
      description: 'The files that belong to the message, by their URLs; with `attachmentIds`, at most 20.',
    }),
    attachmentIds: t.idList({
      description:
        'Uploads of `uploadAttachment` that belong to the message: the model is given what it can read of them. Each belongs to the conversation from then on, and is deleted with it.',
    }),
    ifBusy: t.field({
      type: BusyStrategy,
      defaultValue: 'REJECT',
      description: 'What happens to a new turn if the conversation already has an unfinished run.',
    }),
    onDisconnect: t.field({
      type: DisconnectMode,
      defaultValue: 'CONTINUE',
      description: 'What happens to the run when its last subscriber disconnects.',
    }),
    model: t.string({
      description:
        'The model for this turn only, 1 to 200 characters. Example: `gpt-5-mini`. If omitted, the model of `chatSettings`, otherwise the agent’s own.',
    }),
    temperature: t.float({
      description:
        'The sampling temperature for this turn only, 0.0 to 2.0. If omitted, the temperature of `chatSettings`, otherwise the agent’s own.',
    }),
    maxTokens: t.int({
      description:
        'The maximum number of tokens of one model answer, for this turn only, 1 to 32,000. If omitted, the limit of `chatSettings`, otherwise the agent’s own.',
    }),
  }),
});
