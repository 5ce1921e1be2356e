import { execFile } from 'node:child_process';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { validate as validateDeployment } from 'kubernetes-models/_schemas/IoK8sApiAppsV1Deployment';
import { validate as validateAutoscaler } from 'kubernetes-models/_schemas/IoK8sApiAutoscalingV2HorizontalPodAutoscaler';
import { validate as validateConfigMap } from 'kubernetes-models/_schemas/IoK8sApiCoreV1ConfigMap';
import { validate as validateSecret } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Secret';
import { validate as validateService } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Service';
import { validate as validateIngress } from 'kubernetes-models/_schemas/IoK8sApiNetworkingV1Ingress';
import { validate as validateNetworkPolicy } from 'kubernetes-models/_schemas/IoK8sApiNetworkingV1NetworkPolicy';
import { validate as validateBudget } from 'kubernetes-models/_schemas/IoK8sApiPolicyV1PodDisruptionBudget';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { readEnv } from '../../src/config/env.ts';
import { findProgram } from '../support/proxies/find-program.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'deploy/kubernetes');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const notResources = ['kustomization.yaml', 'secret.example.yaml'];

const resource = z.looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string() }) });
const resources = readdirSync(folder)
  .filter((file) => file !== 'kustomization.yaml')
  .flatMap((file) => parseAllDocuments(read(`deploy/kubernetes/${file}`)))
  .map((document) => resource.parse(document.toJS()));

/** Of Kubernetes' own description of its API. */
const schemas: Record<string, (data: unknown) => boolean> = {
  ConfigMap: validateConfigMap,
  Deployment: validateDeployment,
  HorizontalPodAutoscaler: validateAutoscaler,
  Ingress: validateIngress,
  NetworkPolicy: validateNetworkPolicy,
  PodDisruptionBudget: validateBudget,
  Secret: validateSecret,
  Service: validateService,
};

function find(kind: string): z.infer<typeof resource> {
  const found = resources.find((one) => one.kind === kind);
  if (found === undefined) throw new Error(`There is no ${kind}.`);
  return found;
}

const deployment = z
  .object({
    spec: z.object({
      template: z.object({
        spec: z.object({
          terminationGracePeriodSeconds: z.number(),
          containers: z.tuple([
            z.object({
              lifecycle: z.object({
                preStop: z.object({ exec: z.object({ command: z.tuple([z.literal('sleep'), z.string()]) }) }),
              }),
              readinessProbe: z.object({
                httpGet: z.object({ path: z.string() }),
                periodSeconds: z.number(),
                failureThreshold: z.number(),
              }),
              livenessProbe: z.object({ httpGet: z.object({ path: z.string() }) }),
            }),
          ]),
        }),
      }),
    }),
  })
  .parse(find('Deployment')).spec.template.spec;

describe('deploy/kubernetes', () => {
  test('It has a resource of each kind, and each has the form of the API of Kubernetes', () => {
    expect(resources.map(({ kind }) => kind).sort()).toEqual(Object.keys(schemas));
    expect(resources.filter((one) => !schemas[one.kind]?.(one)).map(({ kind }) => kind)).toEqual([]);
  });

  test('The schemas find a field of another type', () => {
    const wrong = structuredClone(find('PodDisruptionBudget'));
    expect(schemas[wrong.kind]?.({ ...wrong, spec: { maxUnavailable: [1] } })).toBe(false);
  });

  test('No field is misspelt: each has a name that the API knows', () => {
    const texts = ['kubernetes-models', '@kubernetes-models/apimachinery'].flatMap((name) =>
      globSync(`node_modules/${name}/_schemas/*.js`, { cwd: root }).map(read),
    );
    const known = new Set(texts.flatMap((text) => text.match(/\w+/g) ?? []));
    // These hold names of the operator's choosing.
    const free = new Set(['data', 'stringData', 'labels', 'matchLabels', 'annotations', 'requests', 'limits']);
    const names = (value: unknown): string[] =>
      value instanceof Object
        ? Object.entries(value).flatMap(([key, inner]) => [
            ...(Array.isArray(value) ? [] : [key]),
            ...(free.has(key) ? [] : names(inner)),
          ])
        : [];
    expect(known.has('terminationGracePeriodSecond')).toBe(false);
    const unknown = new Set(resources.flatMap(names).filter((name) => !known.has(name)));
    // The selector of a Service is labels itself.
    expect([...unknown]).toEqual(['app.kubernetes.io/name']);
  });

  test('Each file but the example of a secret is listed in kustomization.yaml', () => {
    const { resources: listed } = z
      .object({ resources: z.array(z.string()) })
      .parse(parse(read('deploy/kubernetes/kustomization.yaml')));
    expect(listed.sort()).toEqual(
      readdirSync(folder)
        .filter((file) => !notResources.includes(file))
        .sort(),
    );
  });

  test('With ConfigMap and Secret, an instance finds all that production needs', () => {
    const { data } = z.object({ data: z.record(z.string(), z.string()) }).parse(find('ConfigMap'));
    const { stringData } = z.object({ stringData: z.record(z.string(), z.string()) }).parse(find('Secret'));
    const key = `k1:${Buffer.alloc(32, 1).toString('base64')}`;
    const env = readEnv({ NODE_ENV: 'production', ...data, ...stringData, ENCRYPTION_KEYS: key });
    expect(env).toMatchObject({ production: true, trustedProxies: 1 });
    // An example that somebody forgets to change does not start.
    expect(() => readEnv({ NODE_ENV: 'production', ...data, ...stringData })).toThrow(/ENCRYPTION_KEYS/);
  });

  test('The grace of a pod is longer than its wait and the 28 seconds within which the process exits', () => {
    const [container] = deployment.containers;
    const wait = Number(container.lifecycle.preStop.exec.command[1]);
    expect(read('README.md').replace(/\s+/g, ' ')).toContain('The process exits within 28 seconds.');
    expect(deployment.terminationGracePeriodSeconds).toBeGreaterThan(wait + 28);
    expect(container.readinessProbe.httpGet.path).toBe('/ready');
    // The service takes it out within 40 % of the time in which it still serves.
    const { periodSeconds, failureThreshold } = container.readinessProbe;
    expect(periodSeconds * failureThreshold).toBeLessThanOrEqual(0.4 * readEnv({}).drainSeconds);
    expect(container.livenessProbe.httpGet.path).toBe('/health');
  });
});

describe('compose.yaml', () => {
  const compose = z
    .object({ services: z.record(z.string(), z.looseObject({ stop_grace_period: z.string().optional() })) })
    .parse(parse(read('compose.yaml')));

  test('It has a proxy, instances with time to drain, a migration, PostgreSQL and Redis', () => {
    expect(Object.keys(compose.services).sort()).toEqual(['migrate', 'postgres', 'proxy', 'redis', 'switchboard']);
    expect(Number.parseInt(compose.services.switchboard?.stop_grace_period ?? '', 10)).toBeGreaterThan(28);
  });

  test.runIf(findProgram('docker-compose') !== null || process.env.CI)('Docker Compose accepts it', async () => {
    const project = await mkdtemp(join(tmpdir(), 'switchboard-compose-'));
    try {
      await cp(join(root, 'compose.yaml'), join(project, 'compose.yaml'));
      await writeFile(join(project, '.env'), '');
      const names = ['POSTGRES_PASSWORD', 'JWT_ISSUER', 'JWT_AUDIENCE', 'ENCRYPTION_KEYS', 'ALLOWED_ORIGINS'];
      const env = { PATH: process.env.PATH, HOME: project, ...Object.fromEntries(names.map((name) => [name, 'x'])) };
      const check = (given: NodeJS.ProcessEnv) =>
        promisify(execFile)('docker-compose', ['-f', 'compose.yaml', 'config', '-q'], { cwd: project, env: given });
      await check(env);
      // What is missing is named, and nothing starts.
      await expect(check({ ...env, ENCRYPTION_KEYS: '' })).rejects.toThrow(/ENCRYPTION_KEYS/);
    } finally {
      await rm(project, { recursive: true, force: true });
    }
  });
});
