import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

const require = createRequire(import.meta.url);

/** What axe finds, as the id of its rule and the elements. */
export async function listViolations(page: Page): Promise<string[]> {
  await page.evaluate(await readFile(require.resolve('axe-core/axe.min.js'), 'utf8'));
  return page.evaluate(async () => {
    // @ts-expect-error axe has just been put there
    const { violations } = await window.axe.run(document);
    return violations.map(
      (violation: { id: string; nodes: { html: string; failureSummary: string }[] }) =>
        `${violation.id}: ${violation.nodes.map(({ html, failureSummary }) => html.slice(0, 200) + failureSummary).join(' | ')}`,
    );
  });
}

/** What axe finds in light and in dark. */
export async function listViolationsOfThemes(page: Page): Promise<string[]> {
  const found: string[] = [];
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    found.push(...(await listViolations(page)).map((violation) => `${colorScheme}: ${violation}`));
  }
  return found;
}
