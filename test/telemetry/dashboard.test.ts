import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import '../../src/telemetry/gauges.ts';
import '../../src/telemetry/shared-log.ts';
import { collectProcessMetrics, registry } from '../../src/telemetry/metrics.ts';

const docs = join(import.meta.dirname, '../../docs');
const read = (path: string) => readFile(join(docs, path), 'utf8');

const target = z.object({ expr: z.string(), legendFormat: z.string() });
const dashboardFile = z.object({
  title: z.string(),
  panels: z.array(
    z.object({
      id: z.int(),
      type: z.string(),
      title: z.string(),
      gridPos: z.object({ x: z.int(), y: z.int(), w: z.int(), h: z.int() }),
      targets: z.array(target).optional(),
    }),
  ),
});
const alertsFile = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.object({
          alert: z.string(),
          expr: z.string(),
          labels: z.object({ severity: z.enum(['page', 'ticket']) }),
          annotations: z.object({ summary: z.string() }),
        }),
      ),
    }),
  ),
});

/** The metrics that exist, each with its labels. */
const known = new Map<string, { readonly labels: ReadonlySet<string>; readonly type: string }>();
let dashboard: z.output<typeof dashboardFile>;
let alerts: z.output<typeof alertsFile>['groups'][number]['rules'];

beforeAll(async () => {
  collectProcessMetrics('test');
  for (const { name, type } of await registry.getMetricsAsJSON()) {
    const metric: unknown = registry.getSingleMetric(name);
    const { labelNames = [] } = z.object({ labelNames: z.array(z.string()).optional() }).parse(metric);
    known.set(name, { labels: new Set(labelNames), type: String(type) });
  }
  dashboard = dashboardFile.parse(JSON.parse(await read('grafana/switchboard.json')));
  alerts = alertsFile.parse(parse(await read('prometheus/alerts.yaml'))).groups.flatMap(({ rules }) => rules);
});

const named = (text: string) =>
  [...text.matchAll(/\b(?:switchboard|nodejs|process)_[a-z0-9_]+\b/g)].map(([name]) => name);

/** The metric that a name in a query is a part of; undefined: it does not exist. */
function find(name: string) {
  const base = name.replace(/_(bucket|sum|count)$/, '');
  const histogram = known.get(base);
  return base !== name && histogram?.type === 'histogram' ? histogram : known.get(name);
}

/** What a query says of metrics and of labels that do not exist. */
function findFaults(expr: string): string[] {
  const faults = named(expr).filter((name) => !find(name));
  const ambient = ['job', 'instance', 'le'];
  const labels = new Set(named(expr).flatMap((name) => [...(find(name)?.labels ?? [])]));
  const used = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', '));
  const matched = [...expr.matchAll(/([a-z_]+)(?:=~|!~|!=|=)"/g)].map(([, label = '']) => label);
  faults.push(...[...used, ...matched].filter((label) => !labels.has(label) && !ambient.includes(label)));
  const count = (character: string) => expr.split(character).length;
  for (const [open, close] of ['()', '{}', '[]']) {
    if (open && close && count(open) !== count(close)) faults.push(`unbalanced ${open}`);
  }
  return faults;
}

const panels = () =>
  dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));

describe('The dashboard', () => {
  test('It names only metrics and labels that exist', () => {
    expect(panels().length).toBeGreaterThan(25);
    expect(panels().flatMap(({ title, expr }) => findFaults(expr).map((fault) => `${title}: ${fault}`))).toEqual([]);
    expect(findFaults('sum by (outcome) (rate(switchboard_no_such_total{user="x"}[5m]))')).toEqual([
      'switchboard_no_such_total',
      'outcome',
      'user',
    ]);
  });

  test('It shows every metric of ours', () => {
    const shown = new Set(
      panels().flatMap(({ expr }) => named(expr).map((name) => name.replace(/_(bucket|count)$/, ''))),
    );
    const own = [...known.keys()].filter((name) => name.startsWith('switchboard_'));
    expect(own.length).toBeGreaterThan(25);
    expect(own.filter((name) => !shown.has(name))).toEqual([]);
  });

  test('Its legends use labels of their queries, and no two panels lie on each other', () => {
    const targets = dashboard.panels.flatMap(({ targets: all = [] }) => all);
    for (const { expr, legendFormat } of targets) {
      for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
        expect(/by \(/.test(expr) ? expr.includes(label) : label).toBeTruthy();
      }
    }
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });
});

describe('The alerts and the manual', () => {
  test('Alerts name only metrics and labels that exist', () => {
    expect(alerts.length).toBeGreaterThan(10);
    expect(alerts.flatMap(({ alert, expr }) => findFaults(expr).map((fault) => `${alert}: ${fault}`))).toEqual([]);
  });

  test('The manual says of every alert what to do, and of every metric of ours what it says', async () => {
    const manual = await read('operations.md');
    const rows = manual.split('\n').filter((line) => line.startsWith('| `'));
    const inRows = (word: string) => rows.some((row) => row.includes(`\`${word}\``));
    expect(alerts.map(({ alert }) => alert).filter((alert) => !inRows(alert))).toEqual([]);
    const alertRows = rows.flatMap((row) => /^\| `(Switchboard\w+)`/.exec(row)?.[1] ?? []);
    expect(alertRows.filter((name) => !alerts.some(({ alert }) => alert === name))).toEqual([]);
    const own = [...known.keys()].filter((name) => name.startsWith('switchboard_'));
    expect(own.filter((name) => !inRows(name))).toEqual([]);
    expect(named(manual).filter((name) => !find(name))).toEqual([]);
  });
});
