import { builder } from '../../graphql/builder.ts';
import { ViewerRef } from '../../graphql/refs.ts';

builder.queryField('viewer', (t) =>
  t.field({
    type: ViewerRef,
    description: 'You: the user of the access token.',
    resolve: (_root, _args, context) => context.viewer,
  }),
);
