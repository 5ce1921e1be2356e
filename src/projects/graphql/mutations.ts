import { builder } from '../../graphql/builder.ts';
import { ProjectRef } from '../../graphql/refs.ts';
import { removeProjectMember, setProjectMember } from '../members.ts';
import { createProject, updateProject } from '../write.ts';
import { ProjectRole } from './types.ts';

const CreateProjectInput = builder.inputType('CreateProjectInput', {
  description: 'The properties of a new project.',
  fields: (t) => ({
    key: t.string({
      required: true,
      description:
        'The key, such as `support`: 1 to 255 letters, digits, `_`, `.` and `-`, the first one a letter or a digit. It must not begin with `prj_`. Unique in the tenant. It never changes.',
    }),
    name: t.string({
      required: true,
      description: 'The name to show to people, 1 to 255 characters. Example: `Customer support`.',
    }),
  }),
});

const UpdateProjectInput = builder.inputType('UpdateProjectInput', {
  description: 'The changes to a project. Omitted fields stay as they are.',
  fields: (t) => ({
    name: t.string({ description: 'The new name, 1 to 255 characters.' }),
    isArchived: t.boolean({
      description: 'Whether the project is archived: everything in it can be read, and nothing in it can be changed.',
    }),
  }),
});

const idDescription = 'The project’s id, such as `prj_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`, or its key.';
const userDescription = 'The id of the user, 1 to 255 characters: the `sub` claim of the user’s access token.';

builder.mutationFields((t) => ({
  createProject: t.prismaField({
    type: ProjectRef,
    description:
      'Creates a project; the viewer becomes its owner. Only admins may do this. CONFLICT if the key is taken. Limited by RATE_LIMIT_AGENT_OPERATIONS.',
    args: { input: t.arg({ type: CreateProjectInput, required: true, description: 'The properties of the project.' }) },
    resolve: (query, _root, args, context) => createProject(context.viewer, context.agentDeps, args.input, query),
  }),
  updateProject: t.prismaField({
    type: ProjectRef,
    description: 'Renames a project, or changes whether it is archived. For its owners and for admins.',
    args: {
      id: t.arg.id({ required: true, description: idDescription }),
      input: t.arg({ type: UpdateProjectInput, required: true, description: 'The fields to change.' }),
    },
    resolve: (query, _root, args, context) =>
      updateProject(context.viewer, context.agentDeps, args.id, args.input, query),
  }),
  setProjectMember: t.prismaField({
    type: ProjectRef,
    description:
      'Makes a user a member of a project, or changes the role of a member. For its owners and for admins. CONFLICT if the project would be without an owner, or has 1,000 members already.',
    args: {
      projectId: t.arg.id({ required: true, description: idDescription }),
      userId: t.arg.string({ required: true, description: `${userDescription} It need not have been used yet.` }),
      role: t.arg({ type: ProjectRole, required: true, description: 'What the user may do in the project.' }),
    },
    resolve: (query, _root, { projectId, ...member }, context) =>
      setProjectMember(context.viewer, context.agentDeps, projectId, member, query),
  }),
  removeProjectMember: t.prismaField({
    type: ProjectRef,
    description:
      'Takes a user out of a project. Conversations of the user stay the user’s, who can read them, but cannot go on with them. For the project’s owners and for admins. CONFLICT if the user is the last owner.',
    args: {
      projectId: t.arg.id({ required: true, description: idDescription }),
      userId: t.arg.string({ required: true, description: userDescription }),
    },
    resolve: (query, _root, args, context) =>
      removeProjectMember(context.viewer, context.agentDeps, args.projectId, args.userId, query),
  }),
}));
