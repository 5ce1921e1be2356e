import { builder } from '../../graphql/builder.ts';
import { HttpMethod } from './types.ts';

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

type InputFields = Parameters<Parameters<typeof builder.inputType>[1]['fields']>[0];

/** The fields that the inputs of HTTP tools and of MCP servers share (stored/input.ts checks them). */
function storedFields(t: InputFields, defaults: { readonly timeoutMs: string; readonly isActive: string }) {
  return {
    headers: t.field({
      type: [HttpHeaderInput],
      description:
        'Headers that are not secret, at most 32. The list replaces all of them. If omitted in an update, they stay.',
    }),
    secretHeaders: t.field({
      type: [SecretHeaderInput],
      description:
        'Secret headers, at most 32. They are stored encrypted, sent only to the origin of the URL, and can never be read back. Stored headers that are not in the list stay.',
    }),
    timeoutMs: t.int({
      description: `The timeout of a call in milliseconds, 1 to 600,000. Default: ${defaults.timeoutMs}.`,
    }),
    maxResultLength: t.int({
      description:
        'The maximum length of a result that the model receives, in characters of JSON, 1 to 1,000,000. Default: 20,000.',
    }),
    requiresApproval: t.boolean({
      description: 'Whether the user must approve each call that a model makes. Default: false.',
    }),
    requiredRoles: t.stringList({
      description:
        'Roles, at most 50, of which the user must have one to use the tool. Example: `["support"]`. Default: empty, every user may use it.',
    }),
    isActive: t.boolean({ description: `${defaults.isActive} Default: true.` }),
  };
}

const httpDefaults = { timeoutMs: '10,000', isActive: 'Whether the tool is offered to models.' };
const mcpDefaults = { timeoutMs: '30,000', isActive: 'Whether the server’s tools are offered to models.' };

const httpTool = {
  isIdempotent:
    'Whether a call may be repeated after a crash, because two calls with the same arguments have the effect of one. The system can recognise a repeated call by its `Idempotency-Key` header. Default: true for GET, false for other methods; a new method resets it.',
  name: 'The name, 1 to 64 letters, digits, `_` or `-`. Example: `get_invoice`. Unique among the tools of the tenant; it must not start with `transfer_to_`.',
  description:
    'What the tool does, 1 to 2,000 characters. The model reads it to decide when to call the tool. Example: `Finds an invoice by its number`.',
  parameters:
    'The JSON Schema (2020-12) of the arguments: an object schema of at most 65,536 characters without recursive references. Example: `{"type": "object", "properties": {"orderNumber": {"type": "string"}}, "required": ["orderNumber"]}`. `format` is shown to the model but not enforced.',
  url: 'The URL of the request, at most 4,096 characters. `{name}` is replaced with that argument, in the path and the query only; in the path it is one step, and `{name+}` may be several. Example: `https://api.example.com/orders/{orderNumber}`. Private addresses work only if the operator lists them in MODEL_ALLOWED_HOSTS, with their path. Redirects are not followed.',
};

/** The GraphQL input CreateHttpToolInput. */
export const CreateHttpToolInput = builder.inputType('CreateHttpToolInput', {
  description: 'The properties of a new HTTP tool.',
  fields: (t) => ({
    name: t.string({ required: true, description: httpTool.name }),
    description: t.string({ required: true, description: httpTool.description }),
    parameters: t.field({ type: 'JSON', required: true, description: httpTool.parameters }),
    method: t.field({ type: HttpMethod, required: true, description: 'The method of the request.' }),
    url: t.string({ required: true, description: httpTool.url }),
    isIdempotent: t.boolean({ description: httpTool.isIdempotent }),
    ...storedFields(t, httpDefaults),
  }),
});

/** The GraphQL input UpdateHttpToolInput. */
export const UpdateHttpToolInput = builder.inputType('UpdateHttpToolInput', {
  description: 'The changes to an HTTP tool. Omitted fields stay as they are.',
  fields: (t) => ({
    name: t.string({ description: httpTool.name }),
    description: t.string({ description: httpTool.description }),
    parameters: t.field({ type: 'JSON', description: httpTool.parameters }),
    method: t.field({ type: HttpMethod, description: 'The method of the request.' }),
    url: t.string({ description: httpTool.url }),
    isIdempotent: t.boolean({ description: httpTool.isIdempotent }),
    ...storedFields(t, httpDefaults),
  }),
});

const mcpServer = {
  name: 'The name, 1 to 32 letters, digits or `-`. Example: `crm`. The names of the server’s tools start with it: `crm_find_customer`. Unique in the tenant.',
  url: 'The endpoint, at most 4,096 characters. It is spoken to over streamable HTTP, or, if it refuses that, over the HTTP with SSE of MCP 2024-11-05. Example: `https://crm.example.com/mcp`. Private addresses work only if the operator lists them in MODEL_ALLOWED_HOSTS, with their path. Redirects are not followed.',
};

/** The GraphQL input CreateMcpServerInput. */
export const CreateMcpServerInput = builder.inputType('CreateMcpServerInput', {
  description: 'The properties of a new MCP server.',
  fields: (t) => ({
    name: t.string({ required: true, description: mcpServer.name }),
    url: t.string({ required: true, description: mcpServer.url }),
    ...storedFields(t, mcpDefaults),
  }),
});

/** The GraphQL input UpdateMcpServerInput. */
export const UpdateMcpServerInput = builder.inputType('UpdateMcpServerInput', {
  description: 'The changes to an MCP server. Omitted fields stay as they are.',
  fields: (t) => ({
    name: t.string({ description: mcpServer.name }),
    url: t.string({ description: mcpServer.url }),
    ...storedFields(t, mcpDefaults),
  }),
});

/** The GraphQL input ExecuteToolInput. */
export const ExecuteToolInput = builder.inputType('ExecuteToolInput', {
  description: 'One call of a tool.',
  fields: (t) => ({
    name: t.string({
      required: true,
      description: 'The name of the tool, as `tools` lists it. Example: `current_time`.',
    }),
    arguments: t.field({
      type: 'JSON',
      required: true,
      description:
        'The arguments: a JSON object of at most 65,536 characters. Example: `{"timeZone": "Europe/Berlin"}`. Integers beyond ±9,007,199,254,740,991 must be given as strings, because they would be rounded.',
    }),
    conversationId: t.id({ description: 'The id of a conversation of the viewer. The tool receives it as context.' }),
    realtimeSessionId: t.id({
      description:
        'The realtime session whose voice agent asks for the call, in place of `conversationId`. The tool must be one of its agents’, the guardrails of the agent that speaks check the call and its result, and the tool receives the conversation as context. Ask the user first if the tool `requiresApproval`.',
    }),
  }),
});
