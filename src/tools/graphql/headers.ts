import { builder } from '../../graphql/builder.ts';

/** A header that is no secret. */
export const HttpHeader = builder.objectRef<{ readonly name: string; readonly value: string }>('HttpHeader').implement({
  description: 'A header that is no secret.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, in lower case.' }),
    value: t.exposeString('value', { description: 'Its value.' }),
  }),
});

/** A header whose value is never read back. */
export const SecretHeader = builder
  .objectRef<{ readonly name: string; readonly hint: string }>('SecretHeader')
  .implement({
    description: 'A header whose value is encrypted at rest and never read back.',
    fields: (t) => ({
      name: t.exposeString('name', { description: 'Its name, in lower case.' }),
      hint: t.exposeString('hint', {
        description: 'The last four characters of its value; empty where they would give too much of it away.',
      }),
    }),
  });

const HttpHeaderInput = builder.inputType('HttpHeaderInput', {
  description: 'A header that is no secret.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Its name. Not one that the server writes itself.' }),
    value: t.string({ required: true, description: 'Its value: one line, 1 to 4,096 characters.' }),
  }),
});

const SecretHeaderInput = builder.inputType('SecretHeaderInput', {
  description: 'A header that is a secret, such as Authorization.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Its name.' }),
    value: t.string({ description: 'Its value: one line, 1 to 4,096 characters. Null: the header is taken away.' }),
  }),
});

/** The inputs of headers, for tools and servers. */
const headerInputs = { plain: HttpHeaderInput, secret: SecretHeaderInput };

/** What tools and servers have in common, described once. */
export const described = {
  headers: 'Headers that are no secret, at most 32. What is given takes the place of all.',
  secretHeaders:
    'Headers that are secret, at most 32. They are encrypted, sent to the origin of the URL and to no other, and never shown again. Those that are not named stay.',
  droppedSecretHeaders:
    'In the answer to an update: the names of the secret headers that were dropped because the URL has moved to another origin. Else empty.',
  timeoutMs: 'Milliseconds after which a call is given up, 1 to 600,000.',
  maxResultLength: 'The most characters of an answer that a model is given, 1 to 1,000,000. 20,000 unless set.',
  requiresApproval: 'Whether a person has to approve each call. No unless set.',
  requiredRoles: 'Roles of which the caller must have one, at most 50. Empty: anybody may.',
} as const;

type InputFields = Parameters<Parameters<typeof builder.inputType>[1]['fields']>[0];

/** The fields that the inputs of HTTP tools and of MCP servers share (write-kept-tools.ts checks them). */
export function storedToolInputs(t: InputFields, own: { readonly timeoutMs: string; readonly isActive: string }) {
  return {
    headers: t.field({ type: [headerInputs.plain], description: described.headers }),
    secretHeaders: t.field({ type: [headerInputs.secret], description: described.secretHeaders }),
    timeoutMs: t.int({ description: own.timeoutMs }),
    maxResultLength: t.int({ description: described.maxResultLength }),
    requiresApproval: t.boolean({ description: described.requiresApproval }),
    requiredRoles: t.stringList({ description: described.requiredRoles }),
    isActive: t.boolean({ description: own.isActive }),
  };
}
