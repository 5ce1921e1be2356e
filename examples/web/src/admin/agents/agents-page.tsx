import type { PageProps } from '../pages.ts';
import { AgentEditor } from './agent-editor.tsx';
import { AgentList } from './agent-list.tsx';

/** Agents: `/admin/agents`, `/admin/agents/new` and `/admin/agents/agt_…`. */
export function AgentsPage({ path: [id] }: PageProps) {
  return id === undefined ? <AgentList /> : <AgentEditor id={id === 'new' ? null : id} />;
}
