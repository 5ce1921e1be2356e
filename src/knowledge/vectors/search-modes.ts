import { locateModel } from './embedding-config.ts';
import type { VectorRuntime } from './runtime.ts';

/**
 * How a base is searched.
 * @param column its `embedding`
 */
export function listSearchModes(runtime: VectorRuntime, column: unknown): ('FULL_TEXT' | 'VECTOR')[] {
  const hasVectors = runtime.isAvailable && locateModel(runtime.deps.fallback, column) !== null;
  return hasVectors ? ['FULL_TEXT', 'VECTOR'] : ['FULL_TEXT'];
}
