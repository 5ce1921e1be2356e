import { formatId } from '../../api/ids.ts';
import { MessageRef } from '../../conversations/graphql/message-types.ts';
import type { Feedback } from '../../generated/prisma/client.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef, ScenarioRef } from '../../graphql/refs.ts';
import { includeUnder, loadNode } from '../../graphql/selection.ts';
import { RunRef } from '../../runs/graphql/run-ref.ts';
import { readFeedback, readOwnFeedback, readScenarios } from '../read.ts';

/** What a user thinks of an answer, in the graph. */
export const FeedbackRating = builder.enumType('FeedbackRating', {
  description: 'What a user thinks of an answer.',
  values: {
    UP: { description: 'The user likes it.' },
    DOWN: { description: 'The user does not like it.' },
  } as const,
});

/** Feedback in the graph, as admins see it. */
export const FeedbackRef = builder.prismaObject('Feedback', {
  fields: (t) => ({
    message: t.relation('message', { description: 'The answer that the feedback is about.' }),
    run: t.field({
      type: RunRef,
      nullable: true,
      description: 'The run that wrote the answer. Null if no turn wrote it.',
      select: { message: { select: { run: true } } },
      resolve: ({ message }) => message.run,
    }),
    agent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'The agent that wrote the answer. Null if nobody knows.',
      resolve: ({ agentId }, _args, context) => (agentId === null ? null : context.agents.load(agentId)),
    }),
    scenario: t.field({
      type: ScenarioRef,
      nullable: true,
      description: 'The scenario of the turn. Null if it had none, or if the scenario was deleted.',
      resolve: batchField(
        ({ id }: Pick<Feedback, 'id' | 'scenarioId'>) => id,
        (rows, _args: object, context) =>
          readScenarios(
            context.viewer,
            context.db,
            rows.map(({ scenarioId }) => scenarioId),
          ),
      ),
    }),
    scenarioVersion: t.exposeInt('scenarioVersion', {
      nullable: true,
      description:
        'The version of the scenario when the turn was started. Null if it had none, or was started before versions were stored.',
    }),
    userId: t.exposeString('userId', {
      description: 'The id of the user who has given it: the `sub` of the access token.',
    }),
    rating: t.field({ type: FeedbackRating, description: 'What the user thinks.', resolve: ({ rating }) => rating }),
    comment: t.exposeString('comment', { nullable: true, description: 'What the user says. Null: nothing.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the user first gave it.' }),
  }),
});

builder.nodeRef(FeedbackRef, {
  id: { resolve: (feedback: typeof FeedbackRef.$inferType) => feedback.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(
      readFeedback(context.viewer, context.db, formatId('Feedback', row), includeUnder(context, info, 'Feedback')),
    ),
});

const MessageFeedback = builder.objectRef<Feedback>('MessageFeedback').implement({
  description: 'What the viewer thinks of an answer.',
  fields: (t) => ({
    rating: t.field({ type: FeedbackRating, description: 'What the viewer thinks.', resolve: ({ rating }) => rating }),
    comment: t.exposeString('comment', { nullable: true, description: 'What the viewer says. Null: nothing.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the viewer first gave it.' }),
  }),
});

builder.prismaObjectField(MessageRef, 'feedback', (t) =>
  t.field({
    type: MessageFeedback,
    nullable: true,
    description: 'What the viewer thinks of the answer. Null: the viewer has not said.',
    resolve: batchField(
      ({ id }: { readonly id: string }) => id,
      (messages, _args: object, context) =>
        readOwnFeedback(
          context.viewer,
          context.db,
          messages.map(({ id }) => id),
        ),
    ),
  }),
);
