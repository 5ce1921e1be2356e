import { formatId } from '../../api/ids.ts';
import type { ReadAddress } from '../../attachments/store-file.ts';
import type { Attachment } from '../../conversations/attachment.ts';
import { type Message, Prisma } from '../../generated/prisma/client.ts';
import { readAttachments } from '../attached-text.ts';
import type { FetchAddresses, FileReader } from '../plan/attached-files.ts';
import type { LaunchRequest, RunRuntime } from '../runtime.ts';
import { lockOwned, writeOwned } from '../transitions/lease.ts';
import type { FileChecks } from './check-files.ts';
import { hearRecordings } from './hear-recordings.ts';

/** Addresses of one message that are read: the first ones. */
const maxAddresses = 10;
const tooMany = `The file was not read from its address: of one message, the first ${maxAddresses} addresses are read.`;

/** A run that is carried out. */
type Reading = Pick<LaunchRequest, 'viewer' | 'run'> & { readonly signal: AbortSignal };

/**
 * Reads what is not known yet of the files of a run's messages.
 * @param agentId the row id of the agent that hears their recordings
 * @param checks checks what is read at their addresses
 */
export function readerOf(runtime: RunRuntime, reading: Reading, agentId: string, checks: FileChecks): FileReader {
  const { viewer, run, signal } = reading;
  return {
    hear: hearRecordings(runtime, { viewer, run, agentId, signal }),
    fetch: fetchAddresses(runtime, reading, checks),
  };
}

/** Whether files of a message have addresses that nobody has read. */
export function hasAddresses(message: Pick<Message, 'attachments'>): boolean {
  return readAttachments(message).some(isUnread);
}

function isUnread({ id, fileId, notice, isPassing }: Attachment): boolean {
  return id === null && fileId === undefined && (notice === null || isPassing === true);
}

/**
 * Reads the files that a run's messages have by their addresses, each once: what models are given of them is stored with the message,
 * or why they are given nothing, so that every later request, and whoever takes the run over, tells the model the same.
 * It waits in the run: turns start meanwhile.
 */
function fetchAddresses(
  runtime: RunRuntime,
  { viewer, run, signal }: Reading,
  { check }: FileChecks,
): FetchAddresses | null {
  const { readAddress } = runtime.files;
  if (readAddress === null) return null;
  return async (message) => {
    const entries = readAttachments(message);
    const places = entries.flatMap((entry, place) => (isUnread(entry) ? [place] : []));
    if (places.length === 0) return entries;
    const read = await Promise.all(
      entries.map(async (entry, place): Promise<ReadAddress | null> => {
        const index = places.indexOf(place);
        if (index < 0) return null;
        return index < maxAddresses ? readAddress(viewer, entry, signal, check) : { id: null, notice: tooMany };
      }),
    );
    const additions = read.map((result) => (result === null ? {} : additionOf(result)));
    await note(runtime, { run, viewer }, message.id, { additions, ids: read.flatMap((result) => result?.id ?? []) });
    return entries.map((entry, place) => ({ ...entry, ...additions[place] }));
  };
}

/** What is undefined is left out of JSON, and replaces what an earlier run has noted. */
function additionOf({ id, notice, isPassing }: ReadAddress): Partial<Attachment> {
  return { ...(id !== null && { fileId: formatId('Attachment', id) }), notice, isPassing: isPassing || undefined };
}

/**
 * Notes what was read with the message, and gives it to its conversation: with it, it is deleted. What a former owner of the run has
 * read is given to nobody, and expires.
 * @param read.additions for each attachment of the message, in their order
 * @param read.ids the row ids of what was stored
 */
async function note(
  runtime: RunRuntime,
  { run, viewer }: Pick<LaunchRequest, 'viewer' | 'run'>,
  messageId: string,
  { additions, ids }: { readonly additions: readonly Partial<Attachment>[]; readonly ids: readonly string[] },
): Promise<void> {
  const { tenantId, userId } = viewer;
  await writeOwned(
    runtime.db,
    run,
    Prisma.sql`${lockOwned(runtime, run)}, taken AS (
      UPDATE attachments SET conversation_id = owned.conversation_id, expires_at = NULL
      FROM owned
      WHERE attachments.tenant_id = ${tenantId} AND attachments.user_id = ${userId}
        AND attachments.id = ANY(${[...ids]}::uuid[]) AND attachments.conversation_id IS NULL
    ), noted AS (
      UPDATE messages SET attachments = (
        SELECT jsonb_agg(CASE addition WHEN '{}' THEN entry ELSE (entry - 'isPassing') || addition END ORDER BY place)
        FROM jsonb_array_elements(attachments) WITH ORDINALITY AS entries (entry, place)
        JOIN jsonb_array_elements(${JSON.stringify(additions)}::jsonb) WITH ORDINALITY AS additions (addition, place)
          USING (place))
      WHERE id = ${messageId}::uuid AND tenant_id = ${tenantId} AND conversation_id = (SELECT conversation_id FROM owned)
        AND jsonb_array_length(attachments) = ${additions.length}
    )`,
  );
}
