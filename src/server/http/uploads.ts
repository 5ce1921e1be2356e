import type { GraphQLParams } from 'graphql-yoga';
import { z } from 'zod';
import { badInput } from '../../api/input.ts';
import { MalformedMultipartError, type Part, parseMultipart, UploadedFile } from '../../api/multipart.ts';
import { maxAudioBytes } from '../../speech/transcribe.ts';

const maxFieldBytes = 1_000_000;

/** The largest body of an upload, in bytes: a file, the operation, and what is between them. */
export const maxUploadBytes = maxAudioBytes + maxFieldBytes + 100_000;

/** How long an upload may take, in milliseconds: the largest at 88 KB a second. */
export const maxUploadMs = 300_000;
/** How much of it must come at the least in each stretch of time: 8 KB a second. It holds its place meanwhile. */
export const uploadPace = { bytes: 240_000, everyMs: 30_000 } as const;

/** The operation, the map and one file. */
const maxParts = 3;

const operationForm = z.object({
  query: z.string().optional(),
  operationName: z.string().nullish(),
  variables: z.record(z.string(), z.unknown()).nullish(),
  extensions: z.record(z.string(), z.unknown()).nullish(),
});
const mapForm = z.record(z.string(), z.array(z.string().max(1_000)).min(1).max(10));

/**
 * An operation with its file, out of a body as the GraphQL multipart request specification has it
 * (https://github.com/jaydenseric/graphql-multipart-request-spec): `operations`, in whose variables null stands where the
 * file belongs, `map`, which says where that is, and the file. One file at most, and one operation.
 * @throws {BadUserInputError} naming the part that is wrong
 */
export function readUpload(body: Buffer, boundary: string): GraphQLParams {
  const parts = cut(body, boundary);
  const operation = parseField(parts, 'operations', operationForm);
  const map = parseField(parts, 'map', mapForm);
  const files = parts.filter((part) => part.name !== 'operations' && part.name !== 'map');
  const unnamed = files.find((part) => !Object.hasOwn(map, part.name));
  if (unnamed) throw badInput(['map'], 'must say where the file belongs');
  for (const [name, paths] of Object.entries(map)) {
    const part = files.find((candidate) => candidate.name === name);
    if (!part) throw badInput(['map'], 'names a file that is not there');
    const file = new UploadedFile(part.data);
    for (const path of paths) putAt(operation, path, file);
  }
  const { query, operationName, variables, extensions } = operation;
  return {
    ...(query === undefined ? {} : { query }),
    ...(operationName ? { operationName } : {}),
    ...(variables ? { variables } : {}),
    ...(extensions ? { extensions } : {}),
  };
}

function cut(body: Buffer, boundary: string): Part[] {
  try {
    return parseMultipart(body, boundary, maxParts);
  } catch (error) {
    if (!(error instanceof MalformedMultipartError)) throw error;
    const hint = body.length > 0 ? ' It holds operations, map and at most one file.' : '';
    throw badInput(['body'], `is no good multipart/form-data. ${error.message}${hint}`);
  }
}

function parseField<Form extends z.ZodType>(parts: readonly Part[], name: string, form: Form): z.output<Form> {
  const [field, ...more] = parts.filter((part) => part.name === name);
  if (!field) throw badInput([name], 'is missing from the upload');
  if (more.length > 0) throw badInput([name], 'is there twice');
  if (field.data.length > maxFieldBytes) throw badInput([name], `must have at most ${maxFieldBytes} bytes`);
  let json: unknown;
  try {
    json = JSON.parse(field.data.toString('utf8'));
  } catch {
    throw badInput([name], 'must be JSON');
  }
  const read = form.safeParse(json);
  if (read.success) return read.data;
  throw badInput([name], name === 'map' ? 'must be an object of lists of paths' : 'must be one GraphQL operation');
}

/** Puts the file where a path like `variables.audio` leads: to a null that is there. */
function putAt(operation: z.output<typeof operationForm>, path: string, file: UploadedFile): void {
  const [root, ...steps] = path.split('.');
  const last = steps.pop();
  let at: unknown = root === 'variables' ? operation.variables : undefined;
  // Own properties only, and nothing is made: a path cannot lead to a prototype.
  for (const step of steps) at = isContainer(at) && Object.hasOwn(at, step) ? at[step] : undefined;
  if (last === undefined || !isContainer(at) || !Object.hasOwn(at, last) || at[last] !== null) {
    throw badInput(['map'], 'must lead to a variable that is null');
  }
  at[last] = file;
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !(value instanceof UploadedFile);
}
