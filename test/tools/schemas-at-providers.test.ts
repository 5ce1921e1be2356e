import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ModelServer, startModelServer } from '../../src/demo/server.ts';
import type { ReceivedRequest } from '../../src/demo/steps.ts';
import { isRecord } from '../../src/engine/json.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { openSocketClient, type SocketClient } from '../support/chat.ts';
import { type FaultyStep, playFaulty } from '../support/scripted-model/faults.ts';

let app: TestApp;
let model: ModelServer;
let alice: SocketClient;
let requests: ReceivedRequest[] = [];

/** What a provider refuses in one schema of a tool; null: nothing. */
type Judge = (schema: Readonly<Record<string, unknown>>, path: string) => string | null;

const judges: Readonly<Record<string, Judge>> = {
  OpenAI: (schema, path) => {
    if (schema.type === 'array' && schema.items === undefined) return `In context=${path}, array schema missing items.`;
    // What has no type at all may be anything.
    const isTyped = schema.type !== undefined || schema.anyOf !== undefined || Object.keys(schema).length === 0;
    return isTyped ? null : `In context=${path}, schema must have a type.`;
  },
  Gemini: (schema, path) => {
    const refused = ['$schema', '$ref', '$defs', 'definitions', 'const', 'exclusiveMinimum', 'patternProperties', 'if'];
    const found = refused.find((keyword) => keyword in schema);
    if (found !== undefined)
      return `Invalid JSON payload received. Unknown name "${found}" at '${path}': Cannot find field.`;
    if (Array.isArray(schema.type)) return `Proto field is not repeating, cannot start list at '${path}.type'.`;
    return schema.type === 'array' && schema.items === undefined ? `${path}.items: missing field.` : null;
  },
  Anthropic: (schema, path) => {
    const names = isRecord(schema.properties) ? Object.keys(schema.properties) : [];
    const wrong = names.find((name) => !/^[a-zA-Z0-9_.-]{1,64}$/.test(name));
    return wrong === undefined
      ? null
      : `${path}: Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$': ${wrong}`;
  },
};

const models: Readonly<Record<string, string>> = { Gemini: 'gemini-2.5-pro', Anthropic: 'claude-sonnet' };

/** Looks through a schema and all schemas inside it. */
function judgeAll(judge: Judge, schema: unknown, path: string): string | null {
  if (!isRecord(schema)) return `${path} is no schema.`;
  const inner: [string, unknown][] = [
    ...(isRecord(schema.properties) ? Object.entries(schema.properties) : []),
    ...(schema.items === undefined ? [] : [['items', schema.items] as [string, unknown]]),
    ...(Array.isArray(schema.anyOf)
      ? schema.anyOf.map((one: unknown, at): [string, unknown] => [`anyOf.${at}`, one])
      : []),
  ];
  return (
    judge(schema, path) ??
    inner.map(([name, part]) => judgeAll(judge, part, `${path}.${name}`)).find((said) => said !== null) ??
    null
  );
}

let judge: Judge = () => null;
beforeAll(async () => {
  const respond = (request: ReceivedRequest): FaultyStep => {
    requests.push(request);
    for (const [name, parameters] of request.toolParameters) {
      const wrong = /^[a-zA-Z0-9_-]{1,64}$/.test(name) ? judgeAll(judge, parameters, name) : 'the name';
      const message = `Invalid schema for function '${name}': ${wrong}`;
      if (wrong !== null)
        return { misbehave: { status: 400, body: { error: { message, code: 'invalid_function_parameters' } } } };
    }
    return { text: 'Fine.' };
  };
  model = await startModelServer<FaultyStep>({ respond, play: playFaulty });
  app = await startTestApp({ env: { MODEL_ALLOWED_HOSTS: new URL(model.url).host } });
  alice = await openSocketClient(app, 'alice');
  const admin = await openSocketClient(app, { sub: 'root', roles: ['admin'] });
  for (const [name, parameters] of Object.entries(schemas)) {
    const input = { name, description: name, method: 'POST', url: 'https://tools.example.com/x', parameters };
    await admin.ask('mutation ($input: CreateHttpToolInput!) { createHttpTool(input: $input) { id } }', { input });
  }
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await model.close();
});

const schemas: Readonly<Record<string, object>> = {
  plain: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] },
  array_without_items: { type: 'object', properties: { tags: { type: 'array' } } },
  rich: {
    $schema: 'http://json-schema.org/draft-07/schema#',
    type: 'object',
    properties: {
      $filter: { type: 'string' },
      ['long_'.repeat(13)]: { type: 'string' },
      kind: { const: 'order' },
      amount: { type: 'number', exclusiveMinimum: 0 },
      until: { type: ['string', 'null'], format: 'date-or-never' },
      address: { $ref: '#/$defs/address' },
      either: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
      lists: { type: 'array', items: { type: 'array' } },
      anything: {},
    },
    $defs: {
      address: { type: 'object', properties: { street: { type: 'string' } } },
    },
    required: ['kind', '$filter'],
  },
};

describe.each(Object.keys(judges))('Schemas of tools at a provider as strict as %s', (provider) => {
  test.each(['CHAT_COMPLETIONS', 'RESPONSES'])(
    'P32 M3 A turn with every kind of schema is accepted (%s)',
    async (api) => {
      judge = judges[provider] ?? (() => null);
      requests = [];
      const llm = { provider: 'custom', model: models[provider] ?? 'm', apiUrl: model.url, api };
      const agentId = await alice.createAgent({ name: `a${crypto.randomUUID()}`, llm, tools: Object.keys(schemas) });
      const conversationId = await alice.createConversation({ agentId });
      const events = await alice.chatTurn('ws', { conversationId }).rest();
      expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
      // None was left out to achieve that.
      expect(requests.map(({ tools }) => tools.length)).toEqual([3]);
    },
  );
});

test.each(Object.entries(judges))('The stand-in refuses what %s refuses', (_, refuse) => {
  expect(judgeAll(refuse, schemas.rich, 'rich')).not.toBeNull();
  expect(judgeAll(refuse, schemas.plain, 'plain')).toBeNull();
});
