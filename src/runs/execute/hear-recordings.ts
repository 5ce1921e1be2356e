import { SwitchboardError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { raceAbort } from '../../engine/abort.ts';
import type { Run } from '../../generated/prisma/client.ts';
import type { HearRecording } from '../plan/attached-files.ts';
import type { RunRuntime } from '../runtime.ts';
import { noteOnAttachments } from './note-on-attachments.ts';

/** Characters of a transcript that are stored. */
const maxCharacters = 200_000;

/** A run whose agent hears the recordings of its messages. */
interface Hearing {
  readonly viewer: Viewer;
  readonly run: Run;
  /** The row id of the agent. */
  readonly agentId: string;
  readonly signal: AbortSignal;
}

/**
 * Has the recordings of a run's messages written down by the speech-to-text provider of its agent, each once: the transcript is
 * stored, so that every later request, and whoever takes the run over, gives the model the same text. If that fails, the model
 * and the user are told why.
 */
export function hearRecordings(runtime: RunRuntime, { viewer, run, agentId, signal }: Hearing): HearRecording {
  const { db } = runtime;
  const { tenantId, conversationId } = run;
  return async (file) => {
    const { id } = file;
    try {
      // A store of files that is silent is not waited for if the run is stopped.
      const heard = await raceAbort(runtime.files.transcribe(viewer, { agentId, file }, signal), signal);
      const text = heard.slice(0, maxCharacters).toWellFormed();
      const where = { id, tenantId, conversationId };
      // Whoever was first has decided what it says.
      await db.attachment.updateMany({ where: { ...where, text: null }, data: { text } });
      const stored = await db.attachment.findUnique({ where, select: { text: true } });
      return { text: stored?.text ?? text };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SwitchboardError)) throw error;
      const notice = `The recording could not be transcribed. ${error.message}`;
      await noteOnAttachments(runtime, run, new Map([[id, notice]]));
      return { notice };
    }
  };
}
