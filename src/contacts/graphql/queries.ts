import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, toNodes } from '../../graphql/selection.ts';
import { listContacts } from '../list.ts';
import { readContact } from '../read.ts';
import { ContactRef } from './types.ts';

builder.queryFields((t) => ({
  contacts: t.connection(
    {
      type: ContactRef,
      description: 'The contacts of the tenant, the newest first. 50 per page by default, at most 100.',
      args: {
        search: t.arg.string({
          description:
            'Return only contacts whose name, e-mail address or telephone number contains this text, in upper or lower case: 1 to 200 characters. A telephone number is found however it is written. Example: `ada@`.',
        }),
      },
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listContacts(
          context.viewer,
          context,
          context.contacts.defaultCountry,
          args,
          includeUnder(context, info, 'Contact', toNodes),
        ),
    },
    { name: 'ContactConnection', description: 'One page of a list of contacts.' },
    { name: 'ContactEdge', description: 'A contact in a list, with its cursor.' },
  ),
  contact: t.prismaField({
    type: ContactRef,
    nullable: true,
    description:
      'One contact of the tenant. The id of a contact that was merged gives the one into which it was merged. NOT_FOUND if it does not exist, FORBIDDEN if it belongs to another tenant.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The contact’s id, such as `con_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (query, _root, args, context) => readContact(context.viewer, context.db, args.id, query),
  }),
}));
