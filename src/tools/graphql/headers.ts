import { builder } from '../../graphql/builder.ts';

/** A header that is no secret. */
export const HttpHeader = builder.objectRef<{ readonly name: string; readonly value: string }>('HttpHeader').implement({
  description: 'An HTTP header that is not secret.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name of the header, in lower case. Example: `x-api-version`.' }),
    value: t.exposeString('value', { description: 'The value of the header.' }),
  }),
});

/** A header whose value is never read back. */
export const SecretHeader = builder
  .objectRef<{ readonly name: string; readonly hint: string }>('SecretHeader')
  .implement({
    description: 'A secret HTTP header. Its value is stored encrypted and can never be read back.',
    fields: (t) => ({
      name: t.exposeString('name', { description: 'The name of the header, in lower case. Example: `x-api-version`.' }),
      hint: t.exposeString('hint', {
        description: 'The last four characters of the value. Empty if they would reveal too much of it.',
      }),
    }),
  });

const HttpHeaderInput = builder.inputType('HttpHeaderInput', {
  description: 'An HTTP header that is not secret.',
  fields: (t) => ({
    name: t.string({
      required: true,
      description:
        'The name of the header. Headers that the server sets itself, such as `Content-Length`, are refused. Example: `X-Api-Version`.',
    }),
    value: t.string({ required: true, description: 'The value: one line of 1 to 4,096 characters.' }),
  }),
});

const SecretHeaderInput = builder.inputType('SecretHeaderInput', {
  description: 'A secret HTTP header, such as `Authorization`.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'The name of the header. Example: `Authorization`.' }),
    value: t.string({ description: 'The value: one line of 1 to 4,096 characters. Null removes the header.' }),
  }),
});

/** The inputs of headers, for tools and servers. */
const headerInputs = { plain: HttpHeaderInput, secret: SecretHeaderInput };

/** What tools and servers have in common, described once. */
export const described = {
  headers:
    'Headers that are not secret, at most 32. The list replaces all of them. If omitted in an update, they stay.',
  secretHeaders:
    'Secret headers, at most 32. They are stored encrypted, sent only to the origin of the URL, and can never be read back. Stored headers that are not in the list stay.',
  droppedSecretHeaders:
    'In the response to an update: the names of the secret headers that were deleted because the URL changed to another origin. Otherwise empty.',
  timeoutMs: 'The timeout of a call in milliseconds, 1 to 600,000.',
  maxResultLength:
    'The maximum length of a result that the model receives, in characters of JSON, 1 to 1,000,000. Default: 20,000.',
  requiresApproval: 'Whether the user must approve each call that a model makes. Default: false.',
  requiredRoles:
    'Roles, at most 50, of which the user must have one to use the tool. Example: `["support"]`. Default: empty, every user may use it.',
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
