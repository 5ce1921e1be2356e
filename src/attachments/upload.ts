import { badInput } from '../api/input.ts';
import type { UploadedFile } from '../api/uploaded-file.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Attachment } from '../generated/prisma/client.ts';
import { readContent } from './read-content.ts';
import type { AttachmentRuntime } from './runtime.ts';
import { storeFile } from './store-file.ts';

const path = ['file'];

/**
 * Stores a file for a message of the viewer, with what models are given of it. It is deleted after a while if no message takes it.
 * @param clientGone aborts when the client disconnects
 * @returns its row, without its content
 * @throws {RateLimitedError} if the viewer uploads too often, or too much at once
 * @throws {BadUserInputError} if it is empty, too large, not what it says, or cannot be read
 * @throws {ConflictError} if the user or the tenant has stored too much; {@link UnavailableError} if the store of files does not work
 */
export async function uploadAttachment(
  viewer: Viewer,
  runtime: AttachmentRuntime,
  file: UploadedFile,
  clientGone: AbortSignal | null,
): Promise<Attachment> {
  const { limit, bounds, parser } = runtime;
  await limit.take(viewer);
  if (file.data.length === 0) throw badInput(path, 'is empty');
  if (file.data.length > bounds.maxBytes) {
    const megabytes = bounds.maxBytes / 1_000_000;
    throw badInput(path, `must have at most ${megabytes} MB (ATTACHMENT_MAX_MB), and it has ${file.data.length} bytes`);
  }
  using _slot = runtime.reading.enter(viewer);
  const content = await readContent(file, parser, clientGone ?? new AbortController().signal);
  return storeFile(viewer, runtime, { name: file.name, content, data: file.data });
}
