import { ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Tracing, TracingConfig } from './spans.ts';

const kinds = { internal: SpanKind.INTERNAL, server: SpanKind.SERVER, client: SpanKind.CLIENT } as const;

/** Characters of one attribute: texts are cut there, on opt-in too. */
const attributeValueLengthLimit = 20_000;
/** How long the last spans may take to be exported when the server stops, in milliseconds. */
const lastExportMs = 3_000;

/** Opens the export of spans with the SDK of OpenTelemetry. Spans that the collector does not take are dropped. */
export function openTracing(config: TracingConfig, version: string): Tracing {
  const { url, headers, timeoutMs: timeoutMillis } = config;
  const options = { url, headers: { ...headers }, timeoutMillis };
  const exporter = config.protocol === 'http/json' ? new JsonExporter(options) : new ProtobufExporter(options);
  const provider = new TracerProvider({
    sampler: createSampler(config),
    spanLimits: { attributeValueLengthLimit },
    resource: defaultResource().merge(
      resourceFromAttributes({
        'service.version': version,
        ...config.resourceAttributes,
        'service.name': config.serviceName,
      }),
    ),
    spanProcessors: [new BatchSpanProcessor({ exporter, exportTimeoutMillis: timeoutMillis })],
  });
  const tracer = provider.getTracer('switchboard', version);
  return {
    capturesText: config.capturesText,
    begin(name, { kind, parent, attributes, link = null }) {
      const context = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
      const links = link === null ? [] : [{ context: link }];
      return tracer.startSpan(name, { kind: kinds[kind], attributes, links }, context);
    },
    async [Symbol.asyncDispose]() {
      const last = new Promise<void>((resolve) => setTimeout(resolve, lastExportMs).unref());
      // A collector that is away does not keep the server from stopping.
      await Promise.race([provider.shutdown().catch(() => {}), last]);
    },
  };
}

function createSampler({ sampler, ratio }: TracingConfig): Sampler {
  switch (sampler) {
    case 'always_on':
      return new AlwaysOnSampler();
    case 'always_off':
      return new AlwaysOffSampler();
    case 'traceidratio':
      return new TraceIdRatioBasedSampler(ratio);
    case 'parentbased_always_on':
      return new ParentBasedSampler({ root: new AlwaysOnSampler() });
    case 'parentbased_always_off':
      return new ParentBasedSampler({ root: new AlwaysOffSampler() });
    case 'parentbased_traceidratio':
      return new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) });
  }
}
