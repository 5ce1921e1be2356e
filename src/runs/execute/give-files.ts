import {
  type AttachedContent,
  type HistoryItem,
  type InputImage,
  ModelError,
  type ModelPort,
} from '../../engine/ports.ts';
import type { Run } from '../../generated/prisma/client.ts';
import type { RunRuntime } from '../runtime.ts';
import { noteOnAttachments } from './note-on-attachments.ts';

/** Images of one request: the newest ones. Providers take 5 to 20 and more, and their bytes are in memory. */
const maxImages = 10;

const tooMany = 'It is left out: a model is given the newest 10 images of a conversation.';
const refusedNotice = 'The model takes no images: it is told the name of this one.';

type UserItem = Extract<HistoryItem, { role: 'user' }>;
type Images = ReadonlyMap<string, string>;

/**
 * Gives a model what the messages of a run have attached: the texts with those of the messages, and the images, which are read
 * here. A model that refuses them is asked again without them; it and the user are told so.
 */
export function giveFiles(runtime: RunRuntime, run: Run): ModelPort {
  const { model } = runtime;
  // What the model of an endpoint has refused once in this run, it is not sent again.
  const refusing = new Set<string>();
  return {
    stream(request, signal) {
      const { history, endpoint } = request;
      if (!history.some((item) => item.role === 'user' && item.attached !== undefined))
        return model.stream(request, signal);
      const images = listImages(history);
      if (images.length === 0)
        return model.stream({ ...request, history: history.map((item) => flatten(item)) }, signal);
      const key = `${endpoint.apiUrl} ${endpoint.model}`;
      const without = { ...request, history: history.map((item) => flatten(item, null)) };
      return withFallback(
        async function* () {
          if (refusing.has(key)) throw new ImagesRefused();
          const urls = await readImages(runtime, run, images.slice(-maxImages));
          yield* model.stream({ ...request, history: history.map((item) => flatten(item, urls)) }, signal);
        },
        async function* () {
          for await (const event of model.stream(without, signal)) {
            // Only now it is known that the images were what was refused.
            if (!refusing.has(key)) {
              refusing.add(key);
              await noteOnAttachments(runtime, run, new Map(images.map(({ id }) => [id, refusedNotice])));
            }
            yield event;
          }
        },
      );
    },
  };
}

class ImagesRefused extends Error {}

/** Only before the first event: what was said cannot be taken back here. */
async function* withFallback<Event>(
  first: () => AsyncIterable<Event>,
  second: () => AsyncIterable<Event>,
): AsyncGenerator<Event, void, undefined> {
  let hasBegun = false;
  try {
    for await (const event of first()) {
      hasBegun = true;
      yield event;
    }
  } catch (error) {
    if (hasBegun || !mayBeAboutImages(error)) throw error;
    yield* second();
  }
}

/** A request that was refused, for whatever reason that is not about the account, the model or the length. */
function mayBeAboutImages(error: unknown): boolean {
  if (error instanceof ImagesRefused) return true;
  if (!(error instanceof ModelError)) return false;
  const { failure, problem } = error;
  return failure.code === 'MODEL_ERROR' && !failure.retryable && problem === 'OTHER';
}

function listImages(history: readonly HistoryItem[]): InputImage[] {
  return history.flatMap((item) => (item.role === 'user' ? (item.attached?.images ?? []) : []));
}

/** Puts the texts of files below the text of their message. @param urls those of the images; null: the model takes none */
function flatten(item: HistoryItem, urls: Images | null = new Map()): HistoryItem {
  if (item.role !== 'user' || item.attached === undefined) return item;
  const { attached, ...message } = item;
  const images = attached.images.flatMap((image): InputImage[] => {
    const url = urls?.get(image.id);
    return url === undefined ? [] : [{ ...image, url }];
  });
  const content = [message.content, attached.text, ...explainAbsence(attached, urls)]
    .filter((part) => part !== '')
    .join('\n\n');
  const flat: UserItem = { ...message, content };
  return images.length === 0 ? flat : { ...flat, attached: { text: '', images } };
}

function explainAbsence({ images }: AttachedContent, urls: Images | null): string[] {
  const why = urls === null ? 'You cannot be given images. Tell the user so if it matters.' : tooMany;
  return images
    .filter(({ id }) => !urls?.has(id))
    .map(({ name }) => `[The image ${name.replaceAll(/\s+/g, ' ')}: ${why}]`);
}

/** The images as `data:` URLs, by the id of their file; those that do not exist any more are absent. */
async function readImages(
  { db }: RunRuntime,
  { tenantId, conversationId }: Run,
  images: readonly InputImage[],
): Promise<Images> {
  const id = { in: images.map((image) => image.id) };
  const where = { tenantId, conversationId, id, modelImage: { not: null } };
  const rows = await db.attachment.findMany({ where, select: { id: true, modelImage: true } });
  return new Map(
    rows.flatMap(({ id: key, modelImage }) => {
      if (modelImage === null) return [];
      const type = modelImage[0] === 0x89 ? 'image/png' : 'image/jpeg';
      return [[key, `data:${type};base64,${Buffer.from(modelImage).toString('base64')}`] as const];
    }),
  );
}
