import { z } from 'zod';

/** OTEL_TRACES_SAMPLER. */
export const samplers = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

/** OTEL_EXPORTER_OTLP_PROTOCOL. */
export const otlpProtocols = ['http/protobuf', 'http/json'] as const;

/** `name=value,…` with percent-encoded values, as the specification of OpenTelemetry has headers and attributes. */
export const pairs = z
  .string()
  .default('')
  .transform((written, context) => {
    const entries = written.split(',').filter((entry) => entry.trim() !== '');
    const read = entries.map((entry) => {
      const at = entry.indexOf('=');
      return [entry.slice(0, Math.max(at, 0)).trim(), decode(entry.slice(at + 1).trim())] as const;
    });
    // The value may be a key: it is not shown.
    if (read.some(([name, value]) => name === '' || value === null)) {
      context.addIssue({ code: 'custom', message: 'must be name=value pairs, separated by commas, percent-encoded' });
    }
    return Object.fromEntries(read.map(([name, value]) => [name, value ?? '']));
  });

function decode(value: string): string | null {
  try {
    return decodeURIComponent(value);
  } catch {
    return null;
  }
}
