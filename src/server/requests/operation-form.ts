import { z } from 'zod';

/** The JSON of one GraphQL operation over HTTP. */
export const operationForm = z.object({
  query: z.string().nullish(),
  documentId: z.string().nullish(),
  operationName: z.string().nullish(),
  variables: z.record(z.string(), z.unknown()).nullish(),
  extensions: z.record(z.string(), z.unknown()).nullish(),
});
export type OperationForm = z.output<typeof operationForm>;

/** The same without the members that are null or absent, which Yoga does not accept. */
export function toParams({ query, documentId, operationName, variables, extensions }: OperationForm) {
  return {
    ...(query ? { query } : {}),
    ...(documentId ? { documentId } : {}),
    ...(operationName ? { operationName } : {}),
    ...(variables ? { variables } : {}),
    ...(extensions ? { extensions } : {}),
  };
}

/** Whether the query of a URL has the id of a document, and no document itself. */
export function namesDocument(url: string): boolean {
  const params = readSearch(url);
  return !params.has('query') && (params.has('documentId') || params.has('extensions'));
}

/** Reads an operation from the query of a URL that names a document. @returns null if a part of it is malformed */
export function readOperationInUrl(url: string): OperationForm | null {
  const params = readSearch(url);
  const parsed = operationForm.safeParse({
    documentId: params.get('documentId'),
    operationName: params.get('operationName'),
    variables: parseJsonParam(params.get('variables')),
    extensions: parseJsonParam(params.get('extensions')),
  });
  return parsed.success ? parsed.data : null;
}

function readSearch(url: string): URLSearchParams {
  return new URLSearchParams(url.includes('?') ? url.slice(url.indexOf('?') + 1) : '');
}

/** What is no JSON stays text, which no part of an operation may be. */
function parseJsonParam(value: string | null): unknown {
  if (value === null) return null;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
