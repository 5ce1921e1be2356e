import { randomUUID } from 'node:crypto';
import type { Database } from '../../src/database/client.ts';

/** Who has an object, and what its texts say. */
export interface ObjectOwner {
  readonly tenantId: string;
  readonly userId: string;
  /** The row id of a project to which it belongs, if it can; null: to none. */
  readonly projectId: string | null;
  /** In each of its texts: wherever it turns up, the object was shown. */
  readonly marker: string;
}

/** Whose objects a kind can be: of another tenant, of another user of the tenant, of a project of other users. */
export type Scope = 'tenant' | 'user' | 'project';

interface Kind {
  /** Beside `tenant`, which all are. */
  readonly scopes: readonly Exclude<Scope, 'tenant'>[];
  /** Names of arguments and fields that take its ids, beside `id` of root fields with the name of the kind. */
  readonly names: readonly string[];
  /** Writes one into the database. @returns its public id */
  make(db: Database, owner: ObjectOwner): Promise<string>;
}

const ofUser = ['user'] as const;
const ofProject = ['project'] as const;

const conversation = (db: Database, { tenantId, userId, marker }: ObjectOwner) =>
  db.conversation.create({ data: { tenantId, userId, title: marker, followsDefault: true } });

async function makeRun(db: Database, owner: ObjectOwner) {
  const { tenantId, userId, marker } = owner;
  const { id: conversationId } = await conversation(db, owner);
  const message = await db.message.create({
    data: { tenantId, conversationId, position: 1, role: 'USER', content: marker },
  });
  return db.run.create({
    data: {
      tenantId,
      userId,
      conversationId,
      number: 1,
      status: 'COMPLETED',
      idempotencyKey: randomUUID(),
      payloadHash: '',
      input: {},
      userMessageId: message.id,
    },
  });
}

const makeAgent = (db: Database, { tenantId, marker }: ObjectOwner, more: Record<string, string> = {}) =>
  db.agent.create({ data: { tenantId, name: `${marker} ${randomUUID()}`, instructions: marker, ...more } });

async function makeScenario(db: Database, owner: ObjectOwner) {
  const { tenantId, projectId, marker } = owner;
  const agent = await makeAgent(db, owner);
  const scenario = await db.scenario.create({
    data: { tenantId, projectId, key: `${marker}-${randomUUID()}`, name: marker },
  });
  const member = { tenantId, scenarioId: scenario.id, agentId: agent.id, isRoot: true, position: 0 };
  await db.scenarioAgent.create({ data: member });
  return { scenario, agent };
}

/**
 * A row for each kind of object that ids name. Whoever adds a kind to the schema adds its row: the test of all id arguments
 * finds the places that take its ids by itself, and fails as long as it knows no object for one of them.
 */
export const kinds: Readonly<Record<string, Kind>> = {
  Conversation: {
    scopes: ofUser,
    names: ['conversationId'],
    make: async (db, owner) => `conv_${(await conversation(db, owner)).id}`,
  },
  Message: {
    scopes: ofUser,
    names: ['messageId', 'editMessageId', 'regenerateMessageId', 'upToMessageId'],
    make: async (db, owner) => `msg_${(await makeRun(db, owner)).userMessageId}`,
  },
  Run: {
    scopes: ofUser,
    names: ['runId'],
    make: async (db, owner) => `run_${(await makeRun(db, owner)).id}`,
  },
  ToolCall: {
    scopes: ofUser,
    names: ['toolCallId'],
    async make(db, owner) {
      const { id: runId, conversationId } = await makeRun(db, owner);
      const { tenantId, marker } = owner;
      const call = {
        callId: randomUUID(),
        step: 0,
        index: 0,
        name: 'a_tool',
        arguments: marker,
        status: 'SUCCEEDED',
      } as const;
      return `tcl_${(await db.toolCall.create({ data: { tenantId, conversationId, runId, ...call } })).rowId}`;
    },
  },
  Handoff: {
    scopes: ofUser,
    names: ['messageId'],
    async make(db, owner) {
      const { id: runId } = await makeRun(db, owner);
      const [from, to] = [await makeAgent(db, owner), await makeAgent(db, owner)];
      const agents = { fromAgentId: from.id, toAgentId: to.id };
      const data = { tenantId: owner.tenantId, runId, callId: randomUUID(), step: 0, ...agents, reason: owner.marker };
      return `hdf_${(await db.handoff.create({ data: { ...data, at: new Date() } })).id}`;
    },
  },
  Agent: {
    scopes: ['user', 'project'],
    names: ['agentId', 'toAgentId', 'rootAgentId', 'classifierAgentId', 'currentAgentId', 'enabledAgents'],
    async make(db, owner) {
      const { projectId, userId } = owner;
      return `agt_${(await makeAgent(db, owner, projectId === null ? { ownerId: userId } : { projectId })).id}`;
    },
  },
  Scenario: {
    scopes: ofProject,
    names: ['scenarioId'],
    make: async (db, owner) => `scn_${(await makeScenario(db, owner)).scenario.id}`,
  },
  HttpTool: {
    scopes: [],
    names: [],
    async make(db, { tenantId, marker }) {
      const name = `tool_${randomUUID()}`;
      const data = {
        tenantId,
        name,
        description: marker,
        parameters: {},
        method: 'GET',
        url: 'https://example.com/',
      } as const;
      return `tool_${(await db.httpTool.create({ data })).id}`;
    },
  },
  McpServer: {
    scopes: [],
    names: [],
    make: async (db, { tenantId, marker }) =>
      `mcp_${(await db.mcpServer.create({ data: { tenantId, name: marker, url: 'https://example.com/' } })).id}`,
  },
  ContextSnapshot: {
    scopes: ofUser,
    names: ['contextSnapshotId'],
    async make(db, { tenantId, userId, marker }) {
      const nonce = randomUUID().replaceAll('-', '');
      const expiresAt = new Date(Date.now() + 3_600_000);
      const data = { tenantId, userId, block: marker, nonce, truncated: false, redactions: 0, expiresAt };
      return `ctx_${(await db.contextSnapshot.create({ data })).id}`;
    },
  },
  RealtimeSession: {
    scopes: ofUser,
    names: ['realtimeSessionId', 'sessionId'],
    async make(db, owner) {
      const { tenantId, userId } = owner;
      const { scenario, agent } = await makeScenario(db, { ...owner, projectId: null });
      const { id: conversationId } = await db.conversation.create({
        data: { tenantId, userId, title: owner.marker, scenarioId: scenario.id, activeAgentId: agent.id },
      });
      const ends = new Date(Date.now() + 3_600_000);
      const from = { tenantId, userId, conversationId, scenarioId: scenario.id, scenarioVersion: 1 };
      const agents = { rootAgentId: agent.id, activeAgentId: agent.id, model: 'gpt-realtime' };
      return `rts_${(await db.realtimeSession.create({ data: { ...from, ...agents, expiresAt: ends, endsAt: ends } })).id}`;
    },
  },
  Project: {
    scopes: ofProject,
    names: ['projectId'],
    async make(db, { tenantId, projectId, marker }) {
      if (projectId !== null) return `prj_${projectId}`;
      return `prj_${(await db.project.create({ data: { tenantId, key: `${marker}-${randomUUID()}`, name: marker } })).id}`;
    },
  },
  Contact: {
    scopes: [],
    names: ['contactId', 'intoId', 'fromIds'],
    make: async (db, { tenantId, marker }) =>
      `con_${(await db.contact.create({ data: { tenantId, name: marker, notes: marker } })).id}`,
  },
  Draft: {
    scopes: ['user', 'project'],
    names: [],
    async make(db, { tenantId, userId, projectId, marker }) {
      const owner = projectId === null ? { userId } : { projectId };
      const content = { text: marker };
      const draft = { tenantId, ...owner, key: randomUUID(), title: marker, content };
      const { id: draftId } = await db.draft.create({ data: draft });
      await db.draftVersion.create({ data: { tenantId, draftId, version: 1, content, bytes: 10 } });
      return `drf_${draftId}`;
    },
  },
  KnowledgeBase: {
    scopes: ofProject,
    names: ['knowledgeBaseId', 'knowledgeBaseIds'],
    make: async (db, { tenantId, projectId, marker }) =>
      `kb_${(await db.knowledgeBase.create({ data: { tenantId, projectId, name: marker, description: marker } })).id}`,
  },
  KnowledgeDocument: {
    scopes: ofProject,
    names: [],
    async make(db, { tenantId, projectId, marker }) {
      const base = await db.knowledgeBase.create({ data: { tenantId, projectId, name: marker } });
      const document = { tenantId, knowledgeBaseId: base.id, title: marker, mediaType: 'text/plain' };
      return `doc_${(await db.knowledgeDocument.create({ data: document })).id}`;
    },
  },
  Ticket: {
    scopes: ofProject,
    names: ['ticketId'],
    make: async (db, { tenantId, projectId, marker }) => {
      const ticket = {
        tenantId,
        projectId,
        number: Math.floor(Math.random() * 1e9),
        subject: marker,
        body: marker,
        createdBy: 'bob',
      };
      return `tkt_${(await db.ticket.create({ data: ticket })).id}`;
    },
  },
  Feedback: {
    scopes: [],
    names: [],
    async make(db, owner) {
      const { tenantId, userId, marker } = owner;
      const { userMessageId: messageId } = await makeRun(db, owner);
      const data = { tenantId, userId, messageId, rating: 'UP', comment: marker } as const;
      return `fb_${(await db.feedback.create({ data })).id}`;
    },
  },
  Attachment: {
    scopes: ofUser,
    names: ['attachmentIds'],
    async make(db, { tenantId, userId, marker }) {
      const file = { name: marker, mediaType: 'text/plain', kind: 'TEXT', size: 1, text: marker } as const;
      const expiresAt = new Date(Date.now() + 3_600_000);
      return `att_${(await db.attachment.create({ data: { tenantId, userId, ...file, expiresAt } })).id}`;
    },
  },
  Schedule: {
    scopes: ofUser,
    names: [],
    async make(db, { tenantId, userId, marker }) {
      const data = {
        tenantId,
        userId,
        name: marker,
        content: marker,
        cron: '0 9 * * *',
        timeZone: 'UTC',
        isActive: false,
      };
      return `sch_${(await db.schedule.create({ data })).id}`;
    },
  },
  Memory: {
    scopes: ofUser,
    names: [],
    async make(db, { tenantId, userId, marker }) {
      const [row] = await db.$queryRaw<{ id: string }[]>`
        INSERT INTO memories (id, tenant_id, user_id, text, tsv)
        VALUES (gen_random_uuid(), ${tenantId}, ${userId}, ${marker}, ''::tsvector) RETURNING id::text`;
      return `mem_${row?.id}`;
    },
  },
  Webhook: {
    scopes: [],
    names: [],
    make: async (db, { tenantId, marker }) =>
      `wh_${(await db.webhook.create({ data: { tenantId, url: `https://example.com/${marker}`, events: ['TICKET_CREATED'] } })).id}`,
  },
  // One that was given up: the sender leaves it alone.
  WebhookDelivery: {
    scopes: [],
    names: [],
    async make(db, { tenantId, marker }) {
      const hook = await db.webhook.create({
        data: { tenantId, url: `https://example.com/${marker}`, events: ['TICKET_CREATED'] },
      });
      const delivery = {
        tenantId,
        webhookId: hook.id,
        event: 'TICKET_CREATED',
        status: 'FAILED',
        givenUpAt: new Date(),
      } as const;
      return `whd_${(await db.webhookDelivery.create({ data: delivery })).id}`;
    },
  },
};

/** The kind of the objects whose ids go in at a place of the schema; undefined: none of these. */
export function kindOf({ field, path }: { readonly field: string; readonly path: readonly string[] }) {
  const name = path.at(-1) ?? '';
  if (path.at(-2) === 'newConversation' && name === 'id') return 'Conversation';
  const named = Object.entries(kinds).find(([, { names }]) => names.includes(name));
  if (named || name !== 'id') return named?.[0];
  // The kind is in the name of the root field: of KnowledgeBase and Base, the longer one.
  const inField = Object.keys(kinds).filter((kind) => field.toLowerCase().includes(kind.toLowerCase()));
  return inField.sort((one, other) => other.length - one.length)[0];
}
