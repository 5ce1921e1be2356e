import type { Logger } from 'pino';
import { AddressReader } from '../attachments/fetch/address-reader.ts';
import { openObjectStore } from '../attachments/object-store.ts';
import { AttachmentRuntime } from '../attachments/runtime.ts';
import type { Env } from '../config/env.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import type { AddressGuard } from '../outbound/address-guard.ts';
import type { RunFiles } from '../runs/runtime.ts';
import type { SpeechRuntime } from '../speech/dependencies.ts';
import { transcribeRecording } from '../speech/transcribe.ts';
import type { Stores } from './connect-stores.ts';

/**
 * Opens what keeps the files of messages, and what reads those that are elsewhere. It is closed with `opening`.
 * @param parts.limit of uploads
 */
export function openAttachments(
  { attachments: bounds }: Env,
  { db, keys }: Stores,
  parts: {
    readonly guard: AddressGuard;
    readonly limit: RateLimit;
    readonly speech: SpeechRuntime;
    readonly logger: Logger;
  },
  opening: AsyncDisposableStack,
): { readonly attachments: AttachmentRuntime; readonly files: RunFiles } {
  const { guard, limit, speech, logger } = parts;
  const store = openObjectStore(bounds.storage);
  const attachments = opening.use(new AttachmentRuntime({ db, keys, bounds, limit, store, logger }));
  attachments.start();
  const addresses = bounds.fetches ? new AddressReader({ attachments, guard, logger }) : null;
  return {
    attachments,
    files: {
      transcribe: (viewer, recording, signal) =>
        transcribeRecording(viewer, { speech, files: attachments }, recording, signal),
      readAddress: addresses && ((viewer, file, signal, check) => addresses.read(viewer, file, signal, check)),
    },
  };
}
