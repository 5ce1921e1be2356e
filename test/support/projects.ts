import type { Database } from '../../src/database/client.ts';
import type { ProjectRole } from '../../src/generated/prisma/client.ts';

/**
 * Writes a project into the database, with its members, whether they have been seen or not.
 * @param members the role of each, by user id
 * @returns its public id
 */
export async function addProject(
  db: Database,
  key: string,
  members: Readonly<Record<string, ProjectRole>> = {},
  tenantId = 'acme',
): Promise<string> {
  const users = Object.entries(members);
  await db.tenant.createMany({ data: [{ id: tenantId }], skipDuplicates: true });
  await db.user.createMany({ data: users.map(([id]) => ({ tenantId, id })), skipDuplicates: true });
  const { id } = await db.project.create({ data: { tenantId, key, name: `The project ${key}` } });
  const rows = users.map(([userId, role]) => ({ tenantId, projectId: id, userId, role }));
  await db.projectMember.createMany({ data: rows });
  return `prj_${id}`;
}
