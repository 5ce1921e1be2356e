import type { otlpProtocols, samplers } from './otlp.ts';
import type { Variables } from './variables.ts';

/** How traces are exported. */
export interface TracingEnv {
  /** Where OTLP is posted to. */
  readonly url: string;
  readonly protocol: (typeof otlpProtocols)[number];
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly serviceName: string;
  readonly resourceAttributes: Readonly<Record<string, string>>;
  readonly sampler: (typeof samplers)[number];
  readonly ratio: number;
  readonly capturesText: boolean;
}

/** @returns null: no traces are exported */
export function readTracing(read: Variables): TracingEnv | null {
  const base = read.OTEL_EXPORTER_OTLP_ENDPOINT;
  const url = read.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? (base && `${base.replace(/\/+$/, '')}/v1/traces`);
  if (url === undefined || read.OTEL_SDK_DISABLED === 'true' || read.OTEL_TRACES_EXPORTER === 'none') return null;
  const { 'service.name': name = 'switchboard', ...resourceAttributes } = read.OTEL_RESOURCE_ATTRIBUTES;
  return {
    url,
    protocol: read.OTEL_EXPORTER_OTLP_PROTOCOL,
    headers: read.OTEL_EXPORTER_OTLP_HEADERS,
    timeoutMs: read.OTEL_EXPORTER_OTLP_TIMEOUT,
    serviceName: read.OTEL_SERVICE_NAME ?? name,
    resourceAttributes,
    sampler: read.OTEL_TRACES_SAMPLER,
    ratio: read.OTEL_TRACES_SAMPLER_ARG,
    capturesText: read.OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT === 'true',
  };
}
