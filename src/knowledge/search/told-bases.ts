import type { Viewer } from '../../auth/viewer.ts';
import { cleanForModel } from '../../context/delimit.ts';
import type { ConfigurationStore } from '../../database/change-configuration.ts';
import type { Db } from '../../database/client.ts';

/** Knowledge bases that a model is told of, at most; a base beyond them is only hinted at. */
const maxBases = 20;
/** Characters of a name and of a description. */
const maxNameLength = 80;
const maxDescriptionLength = 200;
/** Characters of the whole text: with the tool's own description, it stays below the 1,024 that providers take. */
const maxTextLength = 760;

/** Whose searches are described. Ids are row ids. */
interface Searchers {
  readonly agentIds: readonly string[];
  /** The project of the conversation; null: it is in none. */
  readonly projectId: string | null;
}

interface Row {
  /** Null: the base is one that agents without bases of their own search. */
  readonly agentId: string | null;
  readonly projectId: string | null;
  readonly name: string;
  readonly description: string | null;
}

/**
 * What `search_knowledge` searches for the agents of a conversation, in words for their models, so that these know when to
 * search. From the cache of the tenant's configuration; one statement if it is not there. Bases of other projects than the
 * conversation's are not told of, whether or not the viewer may read them: the text is the same for everybody.
 * @returns by the row id of the agent; an agent that searches nothing that could be told of is absent
 */
export async function tellBases(
  { tenantId }: Pick<Viewer, 'tenantId'>,
  { db, config }: ConfigurationStore,
  { agentIds, projectId }: Searchers,
): Promise<ReadonlyMap<string, string>> {
  if (agentIds.length === 0) return new Map();
  const sorted = agentIds.toSorted();
  return config.get(tenantId, `bases:${projectId ?? ''}:${sorted.join()}`, async () => {
    const rows = await readBases(db, tenantId, { agentIds: sorted, projectId });
    const told = sorted.map((agentId) => {
      const own = rows.filter((row) => row.agentId === agentId);
      const searched = own.length > 0 ? own : rows.filter((row) => row.agentId === null);
      return [agentId, describe(searched.filter((base) => base.projectId === null || base.projectId === projectId))];
    }) satisfies (readonly [string, string | null])[];
    return new Map(told.flatMap(([agentId, text]) => (text === null ? [] : [[agentId, text] as const])));
  });
}

function readBases(db: Db, tenantId: string, { agentIds, projectId }: Searchers): Promise<Row[]> {
  return db.$queryRaw<Row[]>`
    (SELECT a.agent_id::text AS "agentId", b.project_id::text AS "projectId", b.name,
      left(b.description, ${maxDescriptionLength + 1}) AS description
    FROM agent_knowledge_bases AS a
    JOIN knowledge_bases AS b ON b.tenant_id = a.tenant_id AND b.id = a.knowledge_base_id
    WHERE a.tenant_id = ${tenantId} AND a.agent_id = ANY(${[...agentIds]}::uuid[]) AND b.deleted_at IS NULL
    ORDER BY a.agent_id, a.position)
    UNION ALL
    (SELECT NULL, b.project_id::text, b.name, left(b.description, ${maxDescriptionLength + 1})
    FROM knowledge_bases AS b
    WHERE b.tenant_id = ${tenantId} AND b.deleted_at IS NULL AND b.project_id IS NOT DISTINCT FROM ${projectId}::uuid
    ORDER BY b.created_at, b.id LIMIT ${maxBases + 1})`;
}

/** @returns null: there is nothing to tell */
function describe(bases: readonly Pick<Row, 'name' | 'description'>[]): string | null {
  const told: string[] = [];
  let length = 0;
  for (const { name, description } of bases.slice(0, maxBases)) {
    const written = quote(name, maxNameLength);
    const text =
      description === null ? written : `${written}, described as ${quote(description, maxDescriptionLength)}`;
    length += text.length + 2;
    if (length > maxTextLength) break;
    told.push(text);
  }
  if (told.length === 0) return null;
  const others = told.length < bases.length ? '; and others' : '';
  return `It searches these knowledge bases: ${told.join('; ')}${others}.`;
}

/** A text that people have written, on one line, as a string of JSON: it cannot go on as a sentence of the server. */
function quote(text: string, maxLength: number): string {
  const line = cleanForModel(text).replaceAll(/\s+/g, ' ').trim();
  const short = line.length <= maxLength ? line : `${line.slice(0, maxLength - 1).toWellFormed()}…`;
  return JSON.stringify(short);
}
