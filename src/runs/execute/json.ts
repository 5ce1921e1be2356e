import { z } from 'zod';
import type { Prisma } from '../../generated/prisma/client.ts';

/** A JSON value as Prisma takes it. */
export const jsonInput: z.ZodType<Prisma.InputJsonValue> = z.lazy(() =>
  z.union([
    z.string(),
    z.number(),
    z.boolean(),
    z.array(z.union([jsonInput, z.null()])),
    z.record(z.string(), z.union([jsonInput, z.null()])),
  ]),
);
