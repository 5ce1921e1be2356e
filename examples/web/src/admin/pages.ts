import type { ComponentType } from 'react';
import { AgentsPage } from './agents/agents-page.tsx';
import { FeedbackPage } from './feedback/feedback-page.tsx';
import { GuardrailsPage } from './guardrails/guardrails-page.tsx';
import { KnowledgePage } from './knowledge/knowledge-page.tsx';
import { RunsPage } from './runs/runs-page.tsx';
import { ScenariosPage } from './scenarios/scenarios-page.tsx';
import { TicketsPage } from './tickets/tickets-page.tsx';
import { ToolsPage } from './tools/tools-page.tsx';
import { UsagePage } from './usage/usage-page.tsx';

/** What a page is given: what follows its own name in the address, `['agt_…']` at `/admin/agents/agt_…`. */
export interface PageProps {
  readonly path: readonly string[];
}

interface AdminPage {
  /** The piece of the address after `/admin/`. */
  readonly name: string;
  /** Its link in the navigation. */
  readonly title: string;
  readonly Page: ComponentType<PageProps>;
}

/** All admin pages, in the order of the navigation. The first one is shown at `/admin`. */
export const pages: readonly AdminPage[] = [
  { name: 'agents', title: 'Agents', Page: AgentsPage },
  { name: 'scenarios', title: 'Scenarios', Page: ScenariosPage },
  { name: 'tools', title: 'Tools', Page: ToolsPage },
  { name: 'guardrails', title: 'Guardrails', Page: GuardrailsPage },
  { name: 'knowledge', title: 'Knowledge', Page: KnowledgePage },
  { name: 'tickets', title: 'Tickets', Page: TicketsPage },
  { name: 'feedback', title: 'Feedback', Page: FeedbackPage },
  { name: 'usage', title: 'Usage', Page: UsagePage },
  { name: 'runs', title: 'Runs', Page: RunsPage },
];
