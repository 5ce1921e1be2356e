import { randomUUID } from 'node:crypto';
import { isInterfaceType } from 'graphql';
import { beforeAll, describe, expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';
import { shareApp } from '../support/app.ts';
import { dumpDatabase } from '../support/database/dump.ts';
import { addProject } from '../support/projects.ts';
import { type IdPlace, listIdPlaces, type OtherValues, writeDocument } from './id-places.ts';
import { kindOf, kinds, type ObjectOwner, type Scope } from './kinds.ts';

// Every place of the schema where an id goes in, found by introspection, is given the id of an object of another tenant, of
// another user and of another project. Nothing of the object is shown, and nothing is written.

const app = shareApp({
  env: {
    RATE_LIMIT_AGENT_OPERATIONS: '0',
    RATE_LIMIT_AGENT_TESTS: '0',
    RATE_LIMIT_TOOLS: '0',
    RATE_LIMIT_SPEECH: '0',
    RATE_LIMIT_REALTIME: '0',
  },
});
const { places, deep } = listIdPlaces(schema);
const nodeType = schema.getType('Node');
const nodes = isInterfaceType(nodeType) ? schema.getPossibleTypes(nodeType).map(({ name }) => name) : [];

/** Places whose ids name no object of this API, and places that are tried elsewhere. */
const elsewhere: Readonly<Record<string, string>> = {
  'Mutation.createContextSnapshot(input.recordIds)': 'Records are those of the operator’s own systems.',
  'Query.tenantRun(id)': 'Admins see the runs of all users of their tenant: see usage/tenant-runs.',
  'Mutation.transcribeAudio(agentId)': 'It needs a file; its agent is chosen by the function of synthesizeSpeech.',
};

/** Places where the id of another is refused as input that cannot be used, whether it exists or not. */
const refusedAsInput = new Set<string>([
  'Mutation.sendMessage(input.agentId)',
  'Mutation.startRun(input.agentId)',
  'Subscription.chatTurn(input.agentId)',
]);

/** A scenario whose graph is valid, with an id in one of its places. */
function scenarioWith(place: IdPlace, id: string, agentId: string) {
  const [, first = '', second = ''] = place.path;
  const isMember = (first === 'agents' && second === 'agentId') || first === 'rootAgentId';
  const isReached = second === 'handoffs';
  const rootAgentId = isMember ? id : agentId;
  const classifier = { agentId: id, question: 'Is it rude?' };
  return {
    key: `k${randomUUID()}`,
    name: 'A scenario',
    rootAgentId,
    agents: [
      { agentId: rootAgentId, handoffs: isReached ? [{ toAgentId: id }] : [] },
      ...(isReached ? [{ agentId: id, handoffs: [] }] : []),
    ],
    ...(first === 'projectId' && { projectId: id }),
    ...(first === 'guardrails' && { guardrails: [{ name: 'g', stages: ['INPUT'], check: { classifier } }] }),
    ...(first === 'orchestration' && { orchestration: { mode: 'FIRST_TURN', classifierAgentId: id } }),
  };
}

const isForAnyNode = ({ field }: IdPlace) => field === 'node' || field === 'nodes';
const tried = places.filter(({ at }) => elsewhere[at] === undefined);

describe('the places where ids go in', () => {
  test('For each of them an object is known, and none is below a field that is not a root field', () => {
    expect(tried.filter((place) => !isForAnyNode(place) && kindOf(place) === undefined).map(({ at }) => at)).toEqual(
      [],
    );
    expect(deep).toEqual([]);
    const known = new Set(places.map(({ at }) => at));
    expect([...Object.keys(elsewhere), ...refusedAsInput].filter((at) => !known.has(at))).toEqual([]);
    expect(tried.length).toBeGreaterThan(70);
  });

  test('Each type that is a Node has an object', () => {
    expect(nodes.length).toBeGreaterThan(10);
    expect(nodes.filter((name) => kinds[name] === undefined)).toEqual([]);
  });
});

describe('ids of others', () => {
  const marker = 'private-0f3c';
  const eve = { tenantId: 'acme', userId: 'eve', projectId: null, marker: 'own' };
  let own: Record<string, string>;
  let sharedAgent: string;
  let tokens: Record<'admin' | 'user', string>;

  beforeAll(async () => {
    const { db } = app.app;
    tokens = {
      admin: await app.token({ sub: 'eve', roles: ['admin'] }),
      user: await app.token({ sub: 'eve' }),
    };
    const others = [await app.token({ sub: 'bob' }), await app.token({ sub: 'bob', tenant: 'other' })];
    for (const token of [tokens.admin, ...others]) await app.query('{ viewer { userId } }', {}, { token });
    const shared = await db.agent.findFirstOrThrow({ where: { tenantId: 'acme', ownerId: null, isActive: true } });
    sharedAgent = `agt_${shared.id}`;
    const projectId = (await addProject(db, 'own', { eve: 'OWNER' })).slice('prj_'.length);
    own = {};
    for (const [name, kind] of Object.entries(kinds))
      own[name] = await kind.make(db, name === 'Project' ? { ...eve, projectId } : eve);
  });

  /** Whose objects are tried. Admins do all in their tenant: other projects are tried by a user. */
  const owners: Readonly<Record<Scope, () => Promise<ObjectOwner>>> = {
    tenant: async () => ({ tenantId: 'other', userId: 'bob', projectId: null, marker }),
    user: async () => ({ tenantId: 'acme', userId: 'bob', projectId: null, marker }),
    project: async () => {
      const id = await addProject(app.app.db, `${marker}-${randomUUID()}`, { bob: 'OWNER' });
      return { tenantId: 'acme', userId: 'bob', projectId: id.slice('prj_'.length), marker };
    },
  };

  const texts: Readonly<Record<string, () => unknown>> = {
    key: () => `k${randomUUID()}`,
    url: () => 'https://example.com/',
    name: () => 'current_time',
    scenarioKey: () => 'support',
    idempotencyKey: randomUUID,
    arguments: () => ({}),
    role: () => undefined,
    type: () => 'text/plain',
    cron: () => '0 9 * * *',
  };

  /** What an operation needs beside what its schema requires. */
  const more: Record<string, (id: string) => Record<string, unknown>> = {
    'Query.scenario(projectId)': () => ({ key: 'support' }),
    'Query.draft(conversationId)': () => ({ key: 'reply' }),
    'Query.draft(projectId)': () => ({ key: 'reply' }),
    'Query.tenantUsage(agentId)': () => ({ to: '2026-11-29T12:00:00Z' }),
    'Mutation.updateTicket(id)': () => ({ input: { priority: 'LOW' } }),
    'Mutation.addKnowledgeDocument(input.knowledgeBaseId)': (knowledgeBaseId) => ({
      input: { knowledgeBaseId, title: 'A title', text: 'A text' },
    }),
  };

  /** A turn that creates its conversation. */
  const newConversation = (input: { readonly id?: string }) => ({
    input: {
      conversationId: input.id ?? `conv_${randomUUID()}`,
      newConversation: input,
      content: 'Hello',
      idempotencyKey: randomUUID(),
    },
  });
  for (const field of ['Mutation.sendMessage', 'Mutation.startRun', 'Subscription.chatTurn'])
    for (const name of ['id', 'agentId', 'projectId'])
      more[`${field}(input.newConversation.${name})`] = (id) => newConversation({ [name]: id });

  const valuesFor = (place: IdPlace): OtherValues => ({
    text: (name) => texts[name]?.(),
    id: (path) => {
      const kind = kindOf({ field: place.field, path }) ?? '';
      return own[kind] ?? '';
    },
  });

  /** A turn needs a text, unless it makes an answer again. */
  function turnWith({ field, path }: IdPlace, id: string) {
    const [, name = '', ...below] = path;
    if (!['chatTurn', 'sendMessage', 'startRun'].includes(field) || below.length > 0) return;
    const text = name === 'regenerateMessageId' ? {} : { content: 'Hello' };
    return { input: { conversationId: own.Conversation, idempotencyKey: randomUUID(), ...text, [name]: id } };
  }

  async function send(place: IdPlace, id: string, token: string) {
    const given =
      place.field.endsWith('Scenario') && place.path[0] === 'input'
        ? { input: scenarioWith(place, id, sharedAgent) }
        : (turnWith(place, id) ?? more[place.at]?.(id));
    const { document, variables } = writeDocument(schema, place, id, valuesFor(place), given);
    if (place.root !== 'subscription') {
      const { data, errors } = await app.query(document, variables, { token });
      return { data, errors: errors.map(({ message, extensions }) => ({ message, code: extensions.code })) };
    }
    for await (const { data, errors = [] } of app.ws(token).iterate({ query: document, variables }))
      return { data, errors: errors.map(({ message, extensions }) => ({ message, code: extensions?.code })) };
    return { data: null, errors: [] };
  }

  test.each(Object.keys(owners) as Scope[])(
    'The ids of objects of another %s open nothing and change nothing',
    async (scope) => {
      const { db } = app.app;
      const owner = await owners[scope]();
      const isOf = (name: string) => scope === 'tenant' || kinds[name]?.scopes.includes(scope) === true;
      const foreign: Record<string, string> = {};
      for (const [name, kind] of Object.entries(kinds)) if (isOf(name)) foreign[name] = await kind.make(db, owner);
      const requests = tried.flatMap((place) => {
        const wanted = isForAnyNode(place)
          ? Object.keys(foreign).filter((name) => nodes.includes(name))
          : [kindOf(place) ?? ''];
        return wanted.flatMap((name) => (foreign[name] === undefined ? [] : [{ place, name, id: foreign[name] }]));
      });
      expect(requests.length).toBeGreaterThan(scope === 'tenant' ? 70 : 20);
      const before = await dumpDatabase(app.app);
      const wrong: unknown[] = [];
      for (const { place, name, id } of requests) {
        const { data, errors } = await send(place, id, scope === 'project' ? tokens.user : tokens.admin);
        const allowed = refusedAsInput.has(place.at) ? ['BAD_USER_INPUT'] : ['FORBIDDEN', 'NOT_FOUND'];
        const isRefused = errors.length > 0 && errors.every(({ code }) => allowed.includes(String(code)));
        const isShown = JSON.stringify({ data, errors }).includes(marker);
        // The error is about this id, and not about something else that the request lacks.
        const isAboutIt =
          scope === 'project' || refusedAsInput.has(place.at) || errors.every(({ message }) => message.includes(id));
        if (!isRefused || isShown || !isAboutIt) wrong.push({ at: place.at, name, data, errors });
      }
      expect(wrong).toEqual([]);
      expect(await dumpDatabase(app.app)).toBe(before);
    },
  );
});
