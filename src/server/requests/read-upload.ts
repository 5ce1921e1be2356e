import type { GraphQLParams } from 'graphql-yoga';
import { z } from 'zod';
import { badInput } from '../../api/input.ts';
import { UploadedFile } from '../../api/uploaded-file.ts';
import { maxAudioBytes } from '../../speech/transcribe.ts';
import { MalformedMultipartError, type Part, parseMultipart } from './multipart.ts';
import { type OperationForm, operationForm, toParams } from './operation-form.ts';

const maxFieldBytes = 1_000_000;

/** What a body has beside its file, in bytes: the operation, and the multipart framing. */
export const uploadFramingBytes = maxFieldBytes + 100_000;
/** The largest body of an upload other than of an import, in bytes. */
export const maxUploadBytes = maxAudioBytes + uploadFramingBytes;

/** How long an upload may take, in milliseconds: enough for the largest at 88 KB a second. */
export const maxUploadMs = 300_000;
/** The least that must arrive in each interval: 8 KB a second. A slow upload would occupy its place for too long. */
export const uploadPace = { bytes: 240_000, everyMs: 30_000 } as const;

/** The operation, the map and one file. */
const maxParts = 3;

const mapForm = z.record(z.string(), z.array(z.string().max(1_000)).min(1).max(10));

/**
 * Reads an operation and its file from the body of a GraphQL multipart request
 * (https://github.com/jaydenseric/graphql-multipart-request-spec). It has three parts: `operations`, whose variables
 * contain null in the place of the file, `map`, which names that place, and the file. One operation and at most one file.
 * @param contentType of the request, with the boundary
 * @throws {BadUserInputError} that names the wrong part
 */
export async function readUpload(body: Buffer, contentType: string): Promise<GraphQLParams> {
  const parts = await splitParts(body, contentType);
  const operation = parseField(parts, 'operations', operationForm);
  const map = parseField(parts, 'map', mapForm);
  const files = parts.filter((part) => part.name !== 'operations' && part.name !== 'map');
  const unnamed = files.find((part) => !Object.hasOwn(map, part.name));
  if (unnamed) throw badInput(['map'], 'must name the variable of each file');
  for (const [name, paths] of Object.entries(map)) {
    const part = files.find((candidate) => candidate.name === name);
    if (!part) throw badInput(['map'], 'names a file that the upload does not contain');
    const file = new UploadedFile(part.data, { name: part.fileName, mediaType: part.mediaType });
    for (const path of paths) setAtPath(operation, path, file);
  }
  return toParams(operation);
}

async function splitParts(body: Buffer, contentType: string): Promise<Part[]> {
  try {
    return await parseMultipart(body, contentType, { parts: maxParts, fieldBytes: maxFieldBytes });
  } catch (error) {
    if (!(error instanceof MalformedMultipartError)) throw error;
    const hint = body.length > 0 ? ' It must consist of operations, map and at most one file.' : '';
    throw badInput(['body'], `is not valid multipart/form-data. ${error.message}${hint}`);
  }
}

function parseField<Form extends z.ZodType>(parts: readonly Part[], name: string, form: Form): z.output<Form> {
  const [field, ...more] = parts.filter((part) => part.name === name);
  if (!field) throw badInput([name], 'is missing from the upload');
  if (more.length > 0) throw badInput([name], 'is duplicated');
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

/** Puts the file at a path like `variables.audio`, which must lead to a null. */
function setAtPath(operation: OperationForm, path: string, file: UploadedFile): void {
  const [root, ...steps] = path.split('.');
  const last = steps.pop();
  let container: unknown = root === 'variables' ? operation.variables : undefined;
  // Only own properties, and none is created: a path cannot lead to a prototype.
  for (const step of steps)
    container = isContainer(container) && Object.hasOwn(container, step) ? container[step] : undefined;
  if (last === undefined || !isContainer(container) || !Object.hasOwn(container, last) || container[last] !== null) {
    throw badInput(['map'], 'must lead to a variable that is null');
  }
  container[last] = file;
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !(value instanceof UploadedFile);
}
