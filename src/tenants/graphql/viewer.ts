import { builder } from '../../graphql/builder.ts';
import { ViewerRef } from '../../graphql/refs.ts';

ViewerRef.implement({
  description: 'Who the access token speaks for.',
  fields: (t) => ({
    userId: t.exposeString('userId', { description: "The token's sub claim." }),
    tenantId: t.exposeString('tenantId', { description: "The token's tenant claim: whose data can be seen at all." }),
    roles: t.stringList({
      description: "The token's roles claim.",
      resolve: (viewer) => [...viewer.roles],
    }),
  }),
});

builder.queryField('viewer', (t) =>
  t.field({
    type: ViewerRef,
    description: 'You: who the access token speaks for.',
    resolve: (_root, _args, context) => context.viewer,
  }),
);
