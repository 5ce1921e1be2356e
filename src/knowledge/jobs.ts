import { z } from 'zod';
import { defineJob } from '../jobs/define-job.ts';

/** Indexes one revision of a document: if there is a later one by then, it does nothing. */
export const indexDocumentJob = defineJob(
  'index-document',
  z.object({ tenantId: z.string(), documentId: z.uuid(), revision: z.int() }),
  {
    retry: { limit: 6, delaySeconds: 2, maxDelaySeconds: 300 },
    timeoutSeconds: 1_800,
    // A tenant that adds a hundred slow addresses keeps no other one waiting.
    atOnce: 3,
    atOncePerGroup: 1,
  },
);

/** Has the documents of a base indexed again, from one on; in batches. If there is a later request by then, it does nothing. */
export const reindexBaseJob = defineJob(
  'reindex-base',
  z.object({
    tenantId: z.string(),
    baseId: z.uuid(),
    /** The row id of the last document that was put into the queue; null: none. */
    after: z.uuid().nullable(),
    /** Only documents that were created before this moment: later ones have the new settings already. */
    before: z.iso.datetime(),
    /** The number of the request. Null: an earlier version has stored the job, and it becomes a request of its own. */
    request: z.int().nullable().default(null),
  }),
  { timeoutSeconds: 60 },
);

/** Enqueues the jobs that are gone (sweep.ts). */
export const sweepKnowledgeJob = defineJob('sweep-knowledge', z.object({}), {
  retry: { limit: 0, delaySeconds: 1, maxDelaySeconds: 1 },
  timeoutSeconds: 240,
  singleton: true,
});

/** Deletes the rows of a base that was deleted, one instance at a time. What it has not done, its next attempt does. */
export const deleteBaseJob = defineJob('delete-base', z.object({ tenantId: z.string(), baseId: z.uuid() }), {
  retry: { limit: 20, delaySeconds: 2, maxDelaySeconds: 300 },
  timeoutSeconds: 1_800,
  singleton: true,
});
