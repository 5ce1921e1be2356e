import { ViewerRef } from '../../graphql/refs.ts';

ViewerRef.implement({
  description: 'The user of the access token.',
  fields: (t) => ({
    userId: t.exposeString('userId', { description: 'The user’s id: the `sub` claim of the token.' }),
    tenantId: t.exposeString('tenantId', {
      description: 'The tenant: the tenant claim of the token. Only data of this tenant is visible.',
    }),
    roles: t.stringList({
      description: 'The roles claim of the token. Example: `["admin"]`.',
      resolve: (viewer) => [...viewer.roles],
    }),
  }),
});
