import { formatId } from '../../api/ids.ts';
import { builder } from '../../graphql/builder.ts';
import { ProjectRef } from '../../graphql/refs.ts';
import { includeUnder, loadNode } from '../../graphql/selection.ts';
import { maxMembers } from '../members.ts';
import { readProject } from '../read.ts';

/** What a member may do in a project, in the graph. */
export const ProjectRole = builder.enumType('ProjectRole', {
  description: 'What a member of a project may do in it. Admins of the tenant may do everything in every project.',
  values: {
    OWNER: { description: 'What an EDITOR may do, and to manage the project and its members.' },
    EDITOR: { description: 'What a VIEWER may do, and to create and change what belongs to the project.' },
    VIEWER: { description: 'To read what belongs to the project.' },
  } as const,
});

const ProjectMember = builder.prismaObject('ProjectMember', {
  fields: (t) => ({
    userId: t.exposeString('userId', {}),
    role: t.expose('role', { type: ProjectRole }),
  }),
});

builder.prismaObjectFields(ProjectRef, (t) => ({
  key: t.exposeString('key', {}),
  name: t.exposeString('name', {}),
  isArchived: t.exposeBoolean('isArchived', {}),
  members: t.relation('members', {
    type: ProjectMember,
    description: `The users who take part in the project: owners first, then editors, then viewers. At most ${maxMembers.toLocaleString('en-US')}.`,
    query: { orderBy: [{ role: 'asc' }, { userId: 'asc' }], take: maxMembers },
  }),
  createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the project was created.' }),
  updatedAt: t.expose('updatedAt', {
    type: 'DateTime',
    description: 'When the project or its members were last changed.',
  }),
}));

builder.nodeRef(ProjectRef, {
  id: { resolve: (project: typeof ProjectRef.$inferType) => project.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(readProject(context.viewer, context.db, formatId('Project', row), includeUnder(context, info, 'Project'))),
});
