import { listBasesOfAgent } from '../agents/knowledge-bases.ts';
import { type ContactToolSources, makeFindContact, makeSaveContact } from '../contacts/tools/contact-tools.ts';
import type { Database } from '../database/client.ts';
import { makeGetDraft, makeSaveDraft } from '../drafts/tools.ts';
import type { SearchRuntime } from '../knowledge/search/search.ts';
import { createSearchTool } from '../knowledge/search/search-tool.ts';
import type { MemoryRuntime } from '../memories/runtime.ts';
import { makeRecall, makeRemember } from '../memories/tools.ts';
import { createTicketTool } from '../tickets/create-ticket-tool.ts';
import type { TicketRuntime } from '../tickets/runtime.ts';
import type { BuiltInTool } from '../tools/registry/builtin.ts';

/** What the built-in tools of the nouns above the tools are made of. */
export interface ToolSources extends ContactToolSources {
  readonly db: Database;
  readonly search: SearchRuntime;
  readonly tickets: TicketRuntime;
  readonly memory: MemoryRuntime;
}

/** How each of them is made, by its name. */
const factories: Readonly<Record<string, (sources: ToolSources) => BuiltInTool>> = {
  search_knowledge: ({ search }) => createSearchTool({ search, listBasesOfAgent }),
  save_contact: makeSaveContact,
  find_contact: makeFindContact,
  save_draft: makeSaveDraft,
  get_draft: makeGetDraft,
  remember: ({ memory }) => makeRemember(memory),
  recall: ({ memory }) => makeRecall(memory),
  create_ticket: ({ tickets }) => createTicketTool(tickets),
};

/** The names of the built-in tools of the nouns above the tools. */
export const contributedToolNames: readonly string[] = Object.keys(factories);

/** Makes the built-in tools of the nouns above the tools, which those cannot import. */
export function contributeTools(sources: ToolSources): BuiltInTool[] {
  return Object.entries(factories).map(([name, make]) => ({ ...make(sources), name }));
}
