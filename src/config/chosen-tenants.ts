import { z } from 'zod';

/** The tenants for which the operator has switched something on: `none`, `all`, or their ids with commas between them. */
export const chosenTenants = z
  .string()
  .transform((written): ((tenantId: string) => boolean) => {
    const value = written.trim();
    if (value === 'none' || value === 'all') return () => value === 'all';
    const tenants = new Set(value.split(',').map((tenant) => tenant.trim()));
    return (tenantId) => tenants.has(tenantId);
  })
  .prefault('none');
