import { z } from 'zod';
import { plainHeaders, secretHeaders } from '../contract/headers.ts';
import * as part from '../registry/input.ts';

/** The fields that the inputs of HTTP tools and of MCP servers share. */
export const storedFields = {
  headers: plainHeaders.nullish(),
  secretHeaders: secretHeaders.nullish(),
  timeoutMs: part.timeoutMs.nullish(),
  maxResultLength: part.maxResultLength.nullish(),
  requiresApproval: z.boolean().nullish(),
  requiredRoles: part.requiredRoles.nullish(),
  isActive: z.boolean().nullish(),
};

/** Their columns about calls: null resets a field to its default, and an absent field is not changed. */
export function callColumns(
  input: Omit<z.output<z.ZodObject<typeof storedFields>>, 'headers' | 'secretHeaders'>,
  defaults: { readonly timeoutMs: number },
) {
  const { timeoutMs, maxResultLength, requiresApproval, requiredRoles, isActive } = input;
  return {
    ...(timeoutMs !== undefined && { timeoutMs: timeoutMs ?? defaults.timeoutMs }),
    ...(maxResultLength !== undefined && { maxResultLength: maxResultLength ?? 20_000 }),
    ...(requiresApproval !== undefined && { requiresApproval: requiresApproval ?? false }),
    ...(requiredRoles !== undefined && { requiredRoles: [...new Set(requiredRoles ?? [])] }),
    ...(isActive !== undefined && { isActive: isActive ?? true }),
  };
}
