import { ViewerRef } from '../../graphql/refs.ts';

ViewerRef.implement({
  description: 'The user of the access token.',
  fields: (t) => ({
    userId: t.exposeString('userId', { description: 'The user’s id: the `sub` claim of the token.' }),
    tenantId: t.exposeString('tenantId', {
      description:
        'The tenant: a customer of the operator, who runs the server. It is the tenant claim of the token, and only data of this tenant is visible.',
    }),
    roles: t.stringList({
      description: 'The roles claim of the token. An admin is a user with the role `admin`. Example: `["admin"]`.',
      resolve: (viewer) => [...viewer.roles],
    }),
  }),
});
