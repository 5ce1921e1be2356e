import { builder } from '../../graphql/builder.ts';

/** The GraphQL type Run; its fields are in schema.ts. */
export const RunRef = builder.prismaObject('Run', { fields: () => ({}) });

/** A run in a list. Events bring it too. */
export const RunEdge = builder.edgeObject({
  type: RunRef,
  name: 'RunEdge',
  description: 'A run in a list, with its cursor.',
});
