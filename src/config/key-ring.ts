import { z } from 'zod';

/** `kid:base64,…`, each key of 32 bytes for A256GCM; the first is the current one. */
export const keyRing = z
  .string()
  .refine(
    (value) => value.split(',').every((entry) => /^[\w-]{1,64}:[A-Za-z0-9+/_-]{43}=?$/.test(entry.trim())),
    'must be kid:base64,… with keys of 32 bytes, e.g. k1:$(openssl rand -base64 32)',
  )
  .superRefine((value, context) => {
    const kids = value.split(',').map((entry) => entry.trim().split(':')[0]);
    if (new Set(kids).size < kids.length) {
      context.addIssue({ code: 'custom', message: 'has two keys with the same kid: each needs one of its own' });
    }
  })
  .optional();
