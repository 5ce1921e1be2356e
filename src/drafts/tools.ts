import { createHash } from 'node:crypto';
import { z } from 'zod';
import { formatId } from '../api/ids.ts';
import { parseInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import type { Draft } from '../generated/prisma/client.ts';
import { type BuiltInTool, defineTool } from '../tools/registry/builtin.ts';
import { saveDraftInput } from './input.ts';
import { listNewest, readDraft } from './read.ts';
import { type DraftScope, requireConversation } from './scope.ts';
import { saveInScope } from './write.ts';

const timeoutMs = 5_000;
/** Drafts that an agent is told of at most if it names none. */
const maxListed = 20;

const conversationOf = (viewer: Viewer, db: Db, id: string | null): Promise<DraftScope> | DraftScope =>
  id === null ? { conversationId: null, projectId: null } : requireConversation(viewer, db, id);

/** The tool by which an agent writes on a draft. */
export function makeSaveDraft({ db }: { readonly db: Database }): BuiltInTool {
  return defineTool({
    name: 'save_draft',
    description:
      'Saves a draft of this conversation under a key, such as a reply that a person will look at. Under the same key, it becomes the next version.',
    schema: z.strictObject({
      key: z.string().min(1).max(255).describe('A short key, e.g. reply.'),
      title: z.string().max(255).optional().describe('A title for people.'),
      content: z.union([z.string(), z.record(z.string(), z.json())]).describe('The text, or a JSON object.'),
      expectedVersion: z
        .number()
        .int()
        .min(0)
        .optional()
        .describe(
          'The version that get_draft has returned: nothing is saved if somebody else has saved since. 0: it must not exist.',
        ),
    }),
    timeoutMs,
    // A call that has saved before saves nothing more.
    isIdempotent: true,
    run: async (args, { viewer, conversationId, runId, callId }) => {
      const { key, title, content, expectedVersion } = parseInput(
        saveDraftInput,
        { ...args, title: args.title || undefined },
        [],
      );
      const scope = await conversationOf(viewer, db, conversationId);
      const callKey = runId === null || callId === null ? null : hashCall(runId, callId);
      const saved = { key, title: title ?? null, content, expectedVersion: expectedVersion ?? null, callKey };
      const { id, version } = await saveInScope(viewer, db, scope, saved);
      return { draftId: formatId('Draft', id), key, version };
    },
  });
}

/** The tool by which an agent reads drafts. */
export function makeGetDraft({ db }: { readonly db: Database }): BuiltInTool {
  return defineTool({
    name: 'get_draft',
    description:
      'Reads a draft of this conversation by its key; without a key, lists the keys of the last changed drafts.',
    schema: z.strictObject({ key: z.string().max(255).optional().describe('The key, e.g. reply.') }),
    timeoutMs,
    isIdempotent: true,
    run: async ({ key }, { viewer, conversationId }) => {
      const scope = await conversationOf(viewer, db, conversationId);
      if (key === undefined || key === '') {
        const drafts = await listNewest(viewer, db, scope, maxListed);
        return { drafts: drafts.map(({ key: name, title, version }) => ({ key: name, title, version })) };
      }
      const id = scope.conversationId === null ? null : formatId('Conversation', scope.conversationId);
      return describe(await readDraft(viewer, db, { key, conversationId: id }));
    },
  });
}

function describe({ id, key, title, content, version, updatedAt }: Draft) {
  return { draftId: formatId('Draft', id), key, title, content, version, updatedAt: updatedAt.toISOString() };
}

/** The ids of calls are chosen by models, and may have any length. */
function hashCall(runId: string, callId: string): string {
  return createHash('sha256')
    .update(JSON.stringify([runId, callId]))
    .digest('hex');
}
