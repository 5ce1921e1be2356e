import type { PageProps } from '../pages.ts';
import { ScenarioEditor } from './scenario-editor.tsx';
import { ScenarioList } from './scenario-list.tsx';

/** Scenarios: `/admin/scenarios`, `/admin/scenarios/new` and `/admin/scenarios/scn_…`. */
export function ScenariosPage({ path: [id] }: PageProps) {
  return id === undefined ? <ScenarioList /> : <ScenarioEditor id={id === 'new' ? null : id} />;
}
