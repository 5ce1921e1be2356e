import type { Export } from '../../generated/prisma/client.ts';
import { builder } from '../../graphql/builder.ts';
import { exportPath, formatExportId } from '../files.ts';

/** Exports in the graph. */
export const ExportRef = builder.objectRef<Export>('Export').implement({
  description:
    'A file that was made for the viewer. Only the viewer can fetch it, with the access token, until it expires: EXPORT_TTL_SECONDS (default 3,600) after it was made.',
  fields: (t) => ({
    url: t.string({
      description:
        'The path of the file on this server: fetch it with the header `Authorization: Bearer <access token>`. Example: `/exports/exp_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      resolve: ({ id }) => exportPath + formatExportId(id),
    }),
    mediaType: t.exposeString('mediaType', { description: 'The media type. Example: `application/json`.' }),
    size: t.exposeInt('size', { description: 'The size in bytes, at most 200,000,000.' }),
  }),
});
