import { z } from 'zod';
import { text } from '../api/input.ts';
import { claimPattern } from '../auth/verify-token.ts';

/** The maximum length of a key and of a name, in characters. */
const maxLength = 255;

/**
 * What names a project wherever a projectId goes in: its id or its key. Keys that were stored before there were projects
 * may have any characters.
 */
export const projectName = text(1, maxLength);

const key = text(1, maxLength)
  .refine(
    (value) => /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(value),
    'must begin with a letter or a digit and contain letters, digits, _, . and - only',
  )
  .refine((value) => !value.startsWith('prj_'), 'must not begin with prj_, as ids of projects do');

const name = text(1, maxLength).refine((value) => value.trim() !== '', 'must not be blank');

/** CreateProjectInput. */
export const createProjectInput = z.strictObject({ key, name });

/** UpdateProjectInput. */
export const updateProjectInput = z.strictObject({
  name: name.optional(),
  isArchived: z.boolean({ error: 'must be true or false' }).optional(),
});

/** The id of a user: the `sub` claim of an access token. */
export const memberId = text(1, maxLength).refine(
  (value) => claimPattern.test(value),
  'must not contain control characters',
);
