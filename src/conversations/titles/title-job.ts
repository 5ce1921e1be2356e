import type { Logger } from 'pino';
import { z } from 'zod';
import type { AgentDependencies } from '../../agents/dependencies.ts';
import { RateLimitedError } from '../../api/errors.ts';
import type { Database } from '../../database/client.ts';
import { withoutCounting } from '../../database/statements.ts';
import type { ConversationFeed } from '../../feed/conversation-feed.ts';
import type { Run } from '../../generated/prisma/client.ts';
import { defineJob } from '../../jobs/define-job.ts';
import type { JobQueue } from '../../jobs/job-queue.ts';
import { askTitle, type TitleAnswer } from './ask-title.ts';
import { readTitleTexts, storeModelTitle, type TitledConversation } from './title-rows.ts';

/** After so many turns, nobody looks for a first answer any more. */
const maxTurns = 3;

const job = defineJob(
  'title-conversation',
  z.object({ tenantId: z.string(), userId: z.string(), conversationId: z.uuid() }),
  {
    retry: { limit: 2, delaySeconds: 2, maxDelaySeconds: 30 },
    timeoutSeconds: 60,
    atOnce: 4,
    atOncePerGroup: 2,
    singleton: true,
  },
);

/** What titles are made with. */
export interface TitleDependencies {
  readonly db: Database;
  readonly jobs: JobQueue;
  readonly agents: Pick<AgentDependencies, 'model' | 'defaults' | 'tokenBudget'>;
  readonly feed: ConversationFeed;
  readonly logger: Logger;
}

/** Has titles made in the background. */
export interface TitleQueue {
  /**
   * Is told that a turn has ended with an answer. After one of the first turns of its conversation, a title is made, by a job: the turn
   * waits for nothing, and no failure reaches it.
   */
  noteAnswer(run: Pick<Run, 'tenantId' | 'userId' | 'conversationId' | 'number'>): void;
}

/**
 * Makes titles of conversations by a model of the operator, after their first answer.
 * @param titleModel its name at the default provider; null: no titles are made
 */
export function openTitles(deps: TitleDependencies, titleModel: string | null): TitleQueue | null {
  const { jobs, logger } = deps;
  // Also where it is switched off: what an instance with other settings has enqueued comes to an end.
  jobs.register(job, async (conversation, { signal }) => {
    if (titleModel !== null) await titleConversation(conversation, deps, titleModel, signal);
  });
  if (titleModel === null) return null;
  return {
    noteAnswer: ({ tenantId, userId, conversationId, number }) => {
      if (number > maxTurns) return;
      const options = { key: conversationId, group: tenantId };
      // What it costs is no part of the turn.
      withoutCounting(null, () => jobs.enqueue(null, job, { tenantId, userId, conversationId }, options)).catch(
        (error: unknown) => logger.warn({ err: error, conversationId }, 'could not enqueue the making of a title'),
      );
    },
  };
}

async function titleConversation(
  conversation: TitledConversation,
  { db, agents, feed }: TitleDependencies,
  titleModel: string,
  signal: AbortSignal,
): Promise<void> {
  const texts = await readTitleTexts(conversation, db);
  if (!texts.some(({ role }) => role === 'ASSISTANT')) return;
  try {
    await agents.tokenBudget.assertLeft(conversation);
  } catch (error) {
    // The title of the first message is good enough.
    if (error instanceof RateLimitedError) return;
    throw error;
  }
  const { contextTokens: _ofAnotherModel, ...endpoint } = agents.defaults.llm.endpoint;
  const answer = await askTitle(agents.model, { ...endpoint, model: titleModel }, texts, signal);
  await storeUsage(conversation, { db, agents }, titleModel, answer);
  if (answer.problem !== null) throw new Error(`No title was made: ${answer.problem}.`);
  if (answer.title === null) return;
  if (await storeModelTitle(conversation, db, texts, answer.title)) feed.wake(conversation);
}

/** Adds the call to the ledger: it counts in the usage of the conversation and of its user, and in no run. */
async function storeUsage(
  { tenantId, userId, conversationId }: TitledConversation,
  { db, agents }: Pick<TitleDependencies, 'db' | 'agents'>,
  model: string,
  { usage, hasBegun, durationMs }: TitleAnswer,
): Promise<void> {
  if (!hasBegun) return;
  const tokens = (usage?.inputTokens ?? 0) + (usage?.outputTokens ?? 0);
  agents.tokenBudget.note({ tenantId, userId }, usage?.budgetTokens ?? tokens);
  const row = { tenantId, userId, conversationId, step: 1, model, complete: usage !== null, durationMs, ...usage };
  await db.modelCall.createMany({ data: [row] });
}
