import { builder } from '../../graphql/builder.ts';

/** The GraphQL type Run; its fields are in schema.ts. */
export const RunRef = builder.prismaObject('Run', { fields: () => ({}) });
