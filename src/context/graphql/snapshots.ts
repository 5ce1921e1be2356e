import { formatId } from '../../api/ids.ts';
import { builder } from '../../graphql/builder.ts';
import { readSnapshot, type Snapshot } from '../read.ts';
import { createContextSnapshot } from '../write.ts';

const ContextSnapshotInput = builder.inputType('ContextSnapshotInput', {
  description: 'What the user sees and has at hand. Everything is optional.',
  fields: (t) => ({
    page: t.string({
      description:
        'The page that the user sees: its address, its title, its text, at most 20,000 characters. Models are shown the first 8,000.',
    }),
    projectId: t.id({
      description:
        'The id or the key of the project in which the user works, such as `web-shop`. Only turns of its conversations are part of the snapshot. If omitted, of all conversations of the user.',
    }),
    recordIds: t.stringList({
      description:
        'The records that the user looks at, at most 20, such as `order:1042`. The operator names the tools that read them (CONTEXT_RECORD_TOOLS); they are called as the user. A record that cannot be read is named in the block, with the reason.',
    }),
    data: t.field({
      type: 'JSON',
      description:
        'Anything else, such as what is selected or typed, as JSON of at most 100,000 characters. Models are shown the first 8,000.',
    }),
    redactPii: t.boolean({
      defaultValue: true,
      description:
        'Whether e-mail addresses, telephone numbers, cards, IBANs, IP addresses and national ids are replaced, by `[EMAIL]` and the like. In `page`, the host of the address with which it begins stays, and the values of parameters whose names say that they are secrets, such as `?token=`, are replaced by `[SECRET]`.',
    }),
  }),
});

const ContextReference = builder
  .objectRef<{ readonly name: string; readonly id: string }>('ContextReference')
  .implement({
    description: 'An id of a database that models are shown under another name.',
    fields: (t) => ({
      name: t.exposeString('name', { description: 'The name in the block, such as `ref_1`.' }),
      id: t.exposeString('id', {
        description: 'The id. A tool that a model calls with the name as an argument receives the id.',
      }),
    }),
  });

const ContextSnapshot = builder.objectRef<Snapshot>('ContextSnapshot').implement({
  description:
    'What a user saw and had at hand at one moment, as a text for models. Only its creator can read and use it, until it expires.',
  fields: (t) => ({
    id: t.id({
      description:
        'The snapshot’s id, such as `ctx_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`. Pass it as `contextSnapshotId`.',
      resolve: ({ id }) => formatId('ContextSnapshot', id),
    }),
    block: t.exposeString('block', {
      description:
        'The text, fewer than 50,000 characters: sections with a title at the beginning of a line and indented lines below it. Models are given it as data, between lines that no text in it can imitate.',
    }),
    truncated: t.exposeBoolean('truncated', {
      description: 'Whether something was left out because there was more than fits.',
    }),
    redactions: t.exposeInt('redactions', {
      description: 'How much was replaced, personal data and secrets: 0 if `redactPii` was false.',
    }),
    references: t.field({
      type: [ContextReference],
      description: 'The ids that were replaced, at most 500. Empty unless the operator has set CONTEXT_REFERENCES.',
      resolve: ({ references }) => Object.entries(references).map(([name, id]) => ({ name, id })),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description:
        'When it can no longer be read or named: CONTEXT_TTL_SECONDS (default 3,600) after it was made. A turn that has named it before keeps it.',
    }),
  }),
});

builder.mutationField('createContextSnapshot', (t) =>
  t.field({
    type: ContextSnapshot,
    description:
      'Makes a snapshot of what the user has at hand, and stores it for a limited time: what the user may do, the page, the project, records, and the last turns of the user’s own conversations. A user has at most 100; a new one replaces the oldest. RATE_LIMITED if the user is making ten already. Over HTTP, it stops when the client disconnects.',
    args: {
      input: t.arg({ type: ContextSnapshotInput, required: true, description: 'What the user sees and has at hand.' }),
    },
    resolve: (_root, args, context) =>
      createContextSnapshot(context.viewer, context.snapshots, args.input, context.signal),
  }),
);

builder.queryField('contextSnapshot', (t) =>
  t.field({
    type: ContextSnapshot,
    description:
      'A context snapshot of the user. NOT_FOUND if it does not exist or has expired, FORBIDDEN if it belongs to somebody else.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The snapshot’s id, such as `ctx_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (_root, args, context) => readSnapshot(context.viewer, context.db, args.id, ['id']),
  }),
);
