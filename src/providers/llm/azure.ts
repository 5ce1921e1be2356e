/** Stands in a path for the model's name: a turn may be given another model than its agent's. */
const modelInPath = '{model}';

/** What a configuration says of its address at Azure. */
interface AzureChoice {
  /** Without a slash at its end, and without a query. */
  readonly base: string;
  readonly query: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, unknown>>;
  /** A path of its own; null: the usual one. */
  readonly path: string | null;
}

/** Where a request goes at Azure. */
export interface AzureAddress {
  readonly apiUrl: string;
  /** Null: the usual one of the API. It may hold `modelInPath`. */
  readonly path: string | null;
  readonly query: Readonly<Record<string, string>>;
  /** The options without those that are about the address. */
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * Azure OpenAI has two ways, and the address says which: with a version (`options.apiVersion`, or in the URL) the one by
 * deployments, of which the model is the name; without one, version 1, which is like OpenAI's. The address may be that
 * of the resource, as the portal shows it, or go down to `/openai`, `/openai/v1` or `/openai/deployments/<name>`.
 * https://learn.microsoft.com/azure/ai-services/openai/reference and …/openai/api-version-lifecycle
 * @param operation what is asked of a deployment, e.g. `/audio/speech`; null: the API has no deployments in its path
 */
export function locateAzure(from: AzureChoice, operation: string | null): AzureAddress {
  const { apiVersion, ...options } = from.options;
  const version = typeof apiVersion === 'string' && apiVersion !== '' ? apiVersion : from.query['api-version'];
  const query = version === undefined ? from.query : { ...from.query, 'api-version': version };
  const isComplete = /\/openai\/(v1|deployments\/[^/]+)$/.test(from.base);
  if (from.path !== null || isComplete) return { apiUrl: from.base, path: from.path, query, options };
  const root = from.base.replace(/\/openai$/, '');
  if (version === undefined) return { apiUrl: `${root}/openai/v1`, path: null, query, options };
  const path = operation === null ? null : `/deployments/${modelInPath}${operation}`;
  return { apiUrl: `${root}/openai`, path, query, options };
}

/**
 * A path with the name of the model in it.
 * @returns null: the name is `.` or `..`, which no encoding keeps from leading out of the path
 */
export function putModelInPath(path: string, model: string): string | null {
  if (!path.includes(modelInPath)) return path;
  return /^\.{1,2}$/.test(model) ? null : path.replaceAll(modelInPath, () => encodeURIComponent(model));
}
