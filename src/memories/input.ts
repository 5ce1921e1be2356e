import { z } from 'zod';
import { text } from '../api/input.ts';

/** Characters of one memory. */
export const maxMemoryLength = 1_000;
/** Memories of one user. */
export const maxMemories = 500;

/** A fact that is remembered. */
export const memoryText = text(1, maxMemoryLength).refine((value) => value.trim() !== '', 'must not be blank');
/** What memories are searched for. */
export const memorySearch = text(1, 200);

/** The arguments of saveMemory. */
export const saveMemoryInput = z.strictObject({
  id: z.string().nullish(),
  text: memoryText,
  projectId: z.string().nullish(),
});
