import { z } from 'zod';

/** The JSON of one GraphQL operation over HTTP. */
export const operationForm = z.object({
  query: z.string().nullish(),
  operationName: z.string().nullish(),
  variables: z.record(z.string(), z.unknown()).nullish(),
  extensions: z.record(z.string(), z.unknown()).nullish(),
});
export type OperationForm = z.output<typeof operationForm>;

/** The same without the members that are null or absent, which Yoga does not accept. */
export function toParams({ query, operationName, variables, extensions }: OperationForm) {
  return {
    ...(query ? { query } : {}),
    ...(operationName ? { operationName } : {}),
    ...(variables ? { variables } : {}),
    ...(extensions ? { extensions } : {}),
  };
}
