import { z } from 'zod';
import { integer, json, text } from '../api/input.ts';

/** The key of a draft. */
export const draftKey = text(1, 255).refine((value) => value.trim() !== '', 'must not be blank');
/** The title of a draft. */
const draftTitle = text(1, 255).refine((value) => value.trim() !== '', 'must not be blank');
/** The content of a draft. */
const draftContent = json(100_000).refine((value) => value !== undefined && value !== null, 'must not be null');
/** The number of a version, and 0: the draft must not exist. */
const expectedVersion = integer(0, 2_147_483_646);

/** SaveDraftInput. */
export const saveDraftInput = z.strictObject({
  key: draftKey,
  title: draftTitle.nullish(),
  content: draftContent,
  conversationId: z.string().nullish(),
  projectId: z.string().nullish(),
  expectedVersion: expectedVersion.nullish(),
});
