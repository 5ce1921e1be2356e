import type { PageProps } from '../pages.ts';
import { ScenarioEditor } from './scenario-editor.tsx';
import { ScenarioList } from './scenario-list.tsx';
import { VersionList } from './version-list.tsx';
import { VersionView } from './version-view.tsx';

/** Scenarios: `/admin/scenarios`, `…/new`, `…/scn_…`, and their versions: `…/scn_…/versions`, `…/scn_…/versions/3`. */
export function ScenariosPage({ path: [id, part, version] }: PageProps) {
  if (id === undefined) return <ScenarioList />;
  if (part !== 'versions') return <ScenarioEditor id={id === 'new' ? null : id} />;
  return version === undefined ? (
    <VersionList id={id} />
  ) : (
    <VersionView key={version} id={id} version={Number(version)} />
  );
}
