import type { Logger } from 'pino';
import { ConflictError, RateLimitedError, UnavailableError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { raceAbort } from '../../engine/abort.ts';
import { FairQueue } from '../../limits/fair-queue.ts';
import type { AddressGuard } from '../../outbound/address-guard.ts';
import type { AttachmentContent } from '../read-content.ts';
import type { AttachmentRuntime } from '../runtime.ts';
import { type ReadAddress, storeFile } from '../store-file.ts';
import { type AddressedFile, fetchFile, readFetched, UnreadableAddressError } from './fetch-file.ts';

/** What one address may take, redirects included, in milliseconds. */
const addressMs = 30_000;
/** How long one waits for its turn, in milliseconds: the person waits, too. */
const maxWaitMs = 60_000;
/** Files of a user, of a tenant and of a process that are fetched and read at the same time; and those whose content is read. */
const ofUser = { running: 2, waiting: 40 } as const;
const ofTenant = { running: 4, waiting: 200 } as const;
const ofProcess = { running: 16, waiting: 2_000 } as const;
const readAtOnce = { running: 2, waiting: 2_000 } as const;
const everybody = '';

const why = 'The file could not be read from its address.';
const withheld = 'A guardrail has blocked its text.';
const tooBusy = 'Too many files are read from their addresses now. Try again later.';

/** Checks the text of a file. @returns as it may be stored; null: it may not be */
export type CheckText = (text: string) => Promise<string | null>;

/** Reads files that messages have by their addresses. One for the process. */
export class AddressReader {
  readonly #attachments: AttachmentRuntime;
  readonly #guard: AddressGuard;
  readonly #logger: Logger;
  readonly #timeoutMs: number;
  readonly #maxWaitMs: number;
  readonly #users = new FairQueue('files by URL of yours', ofUser);
  readonly #tenants = new FairQueue('files by URL of your organisation', ofTenant);
  readonly #files = new FairQueue('files by URL', ofProcess);
  readonly #reading = new FairQueue('files that are read', readAtOnce);

  constructor(options: {
    readonly attachments: AttachmentRuntime;
    readonly guard: AddressGuard;
    readonly logger: Logger;
    /** What one address may take, in milliseconds. */
    readonly timeoutMs?: number;
    /** How long a file waits for its turn, in milliseconds. */
    readonly maxWaitMs?: number;
  }) {
    this.#attachments = options.attachments;
    this.#guard = options.guard;
    this.#logger = options.logger;
    this.#timeoutMs = options.timeoutMs ?? addressMs;
    this.#maxWaitMs = options.maxWaitMs ?? maxWaitMs;
  }

  /**
   * Reads a file from its address and stores what models are given of it; of a recording, the recording. No message has it yet.
   * @param check checks its text before it is stored
   * @returns without an id if it cannot be read, or the check withholds it: then the notice says why
   * @throws {unknown} the signal's reason if it is aborted; an error of the database
   */
  async read(viewer: Viewer, file: AddressedFile, signal: AbortSignal, check?: CheckText): Promise<ReadAddress> {
    const impatience = new AbortController();
    const timer = setTimeout(() => impatience.abort(new UnavailableError(tooBusy)), this.#maxWaitMs);
    const waiting = AbortSignal.any([signal, impatience.signal]);
    const work = async () => {
      waiting.throwIfAborted();
      clearTimeout(timer);
      return this.#readInTurn(viewer, file, signal, check);
    };
    try {
      const { tenantId, userId } = viewer;
      // The file is in memory to the end: it keeps its places until then.
      const inTurn = this.#users.run(JSON.stringify([tenantId, userId]), () =>
        this.#tenants.run(tenantId, () => this.#files.run(everybody, work)),
      );
      return await raceAbort(inTurn, waiting);
    } catch (error) {
      signal.throwIfAborted();
      const isPassing = error instanceof RateLimitedError || error instanceof UnavailableError;
      const isTold = isPassing || error instanceof UnreadableAddressError || error instanceof ConflictError;
      if (!isTold) throw error;
      return { id: null, notice: `${why} ${error.message}`, ...(isPassing && { isPassing }) };
    } finally {
      clearTimeout(timer);
    }
  }

  async #readInTurn(viewer: Viewer, file: AddressedFile, signal: AbortSignal, check?: CheckText): Promise<ReadAddress> {
    const { parser, bounds, reading } = this.#attachments;
    const limits = { maxBytes: bounds.maxBytes, timeoutMs: this.#timeoutMs };
    const fetched = await fetchFile(this.#guard, file.url, limits, signal);
    const read = await this.#reading.run(everybody, async () => {
      signal.throwIfAborted();
      // Uploads see that it is read.
      using _slot = reading.add(viewer);
      return await readFetched(file, fetched, parser, signal).catch((error: unknown) => this.#explain(error, signal));
    });
    const text = read.text === null || !check ? read.text : await check(read.text);
    if (text === null && read.text !== null) return { id: null, notice: withheld };
    const content = { ...read, text };
    const isRecording = content.kind === 'AUDIO';
    if (!isRecording && isNothing(content)) return { id: null, notice: content.notice };
    const data = isRecording ? fetched.data : null;
    const { id } = await storeFile(viewer, this.#attachments, { name: file.name, content, data });
    return { id, notice: content.notice };
  }

  /** What strangers have put into a file ends no turn, whatever its reader makes of it. */
  #explain(error: unknown, signal: AbortSignal): never {
    signal.throwIfAborted();
    if (error instanceof UnreadableAddressError) throw error;
    this.#logger.error({ err: error }, 'could not read a file that a message has by its URL');
    throw new UnreadableAddressError('Its content could not be read.', { cause: error });
  }
}

function isNothing({ text, modelImage }: AttachmentContent): boolean {
  return modelImage === null && (text === null || text.trim() === '');
}
