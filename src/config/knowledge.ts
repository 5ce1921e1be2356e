import type { Variables } from './variables.ts';

/** What documents may take. */
export interface KnowledgeEnv {
  /** The chunks that a tenant may have. */
  readonly maxChunks: number;
  /** The megabytes that the sources of a tenant, and of one base, may have: texts and files are stored as they were given. */
  readonly maxSourceMb: number;
  readonly maxBaseSourceMb: number;
  /** The memory, in megabytes, and the time, in seconds, that reading one document may take. */
  readonly parseMemoryMb: number;
  readonly parseSeconds: number;
}

/** What the variables say of documents. */
export function readKnowledge(read: Variables): KnowledgeEnv {
  return {
    maxChunks: read.KNOWLEDGE_MAX_CHUNKS,
    maxSourceMb: read.KNOWLEDGE_MAX_SOURCE_MB,
    maxBaseSourceMb: read.KNOWLEDGE_MAX_BASE_SOURCE_MB,
    parseMemoryMb: read.KNOWLEDGE_PARSE_MEMORY_MB,
    parseSeconds: read.KNOWLEDGE_PARSE_SECONDS,
  };
}
