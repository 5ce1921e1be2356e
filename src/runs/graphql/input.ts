import { AttachmentInput } from '../../conversations/graphql/messages.ts';
import { builder } from '../../graphql/builder.ts';

const BusyStrategy = builder.enumType('BusyStrategy', {
  description: 'What to do when the conversation already has an active run.',
  values: {
    REJECT: { description: 'Refuse: CONFLICT, with the active run in extensions.runId.' },
    ENQUEUE: { description: 'Wait until the turns before it are over.' },
    INTERRUPT: { description: 'Cancel the turns before it, keep what they wrote, and go on with this one.' },
  } as const,
});

const DisconnectMode = builder.enumType('DisconnectMode', {
  description: 'What becomes of a run when its last subscriber goes away.',
  values: {
    CONTINUE: { description: 'It goes on; attach again at any time.' },
    CANCEL: { description: 'It is cancelled.' },
  } as const,
});

/** ChatTurnInput: the argument of chatTurn, startRun and sendMessage. */
export const chatTurnInput = builder.inputType('ChatTurnInput', {
  description: 'One turn: what the user says, and how it is to be answered.',
  fields: (t) => ({
    conversationId: t.id({ required: true, description: 'The conversation’s id, conv_….' }),
    content: t.string({ required: true, description: 'What the user says: 1 to 100,000 characters.' }),
    idempotencyKey: t.string({
      required: true,
      description:
        'Unique per conversation, 1 to 255 characters. The same key attaches to the run it started; with another payload it is a CONFLICT. Makes retries and re-subscribes safe.',
    }),
    after: t.int({ description: 'Only events after this seq: for re-attaching.' }),
    agentId: t.id({ description: 'Gives the floor to this agent of the scenario.' }),
    attachments: t.field({ type: [AttachmentInput], description: 'Files that belong to the message, at most 20.' }),
    ifBusy: t.field({
      type: BusyStrategy,
      defaultValue: 'REJECT',
      description: 'What to do when the conversation already has an active run.',
    }),
    onDisconnect: t.field({
      type: DisconnectMode,
      defaultValue: 'CONTINUE',
      description: 'What becomes of the run when its last subscriber goes away.',
    }),
    model: t.string({ description: 'The model for this turn only; otherwise chatSettings, then the agent’s own.' }),
    temperature: t.float({ description: '0.0 to 2.0, for this turn only.' }),
    maxTokens: t.int({ description: '1 to 32,000, for this turn only.' }),
  }),
});
