import { z } from 'zod';
import { ConflictError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import { plainHeaders, secretHeaders } from '../contract/headers.ts';
import * as part from '../registry/definition-input.ts';
import type { ToolRegistry } from '../registry/registry.ts';

/** The fields that the inputs of HTTP tools and of MCP servers share. */
export const keptFields = {
  headers: plainHeaders.nullish(),
  secretHeaders: secretHeaders.nullish(),
  timeoutMs: part.timeoutMs.nullish(),
  maxResultLength: part.maxResultLength.nullish(),
  requiresApproval: z.boolean().nullish(),
  requiredRoles: part.requiredRoles.nullish(),
  isActive: z.boolean().nullish(),
};

/** What they say about calls: null goes back to the default, and what is absent stays. */
export function callColumns(
  given: Omit<z.output<z.ZodObject<typeof keptFields>>, 'headers' | 'secretHeaders'>,
  defaults: { readonly timeoutMs: number },
) {
  const { timeoutMs, maxResultLength, requiresApproval, requiredRoles, isActive } = given;
  return {
    ...(timeoutMs !== undefined && { timeoutMs: timeoutMs ?? defaults.timeoutMs }),
    ...(maxResultLength !== undefined && { maxResultLength: maxResultLength ?? 20_000 }),
    ...(requiresApproval !== undefined && { requiresApproval: requiresApproval ?? false }),
    ...(requiredRoles !== undefined && { requiredRoles: [...new Set(requiredRoles ?? [])] }),
    ...(isActive !== undefined && { isActive: isActive ?? true }),
  };
}

/**
 * Runs a change in a transaction, and forgets what was remembered of the tenant's configuration before it answers.
 * @param what with its article, for the error where another one has the name: "a tool named …"
 */
export async function changeTools<T>(
  viewer: Viewer,
  tools: ToolRegistry,
  what: string,
  work: (tx: Prisma.TransactionClient) => Promise<T>,
): Promise<T> {
  const { db, config } = tools.deps;
  try {
    return await db.$transaction(work);
  } catch (error) {
    if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== 'P2002') throw error;
    throw new ConflictError(`There is ${what} already.`);
  } finally {
    config.drop(viewer.tenantId);
  }
}
