import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client';

/**
 * The metrics of this process, as Prometheus reads them. Every label has a fixed, small set of values: ids, names that
 * users choose and addresses are never labels.
 */
export const registry = new Registry();
const registers = [registry];

const fast = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const slow = [0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600];
const rates = [1, 2.5, 5, 10, 20, 35, 50, 75, 100, 150, 250, 500, 1_000];

export const turnsBegun = new Counter({
  name: 'switchboard_turns_begun_total',
  help: 'Turns that this process began to carry out. start: new, queue, approval (continued after a decision), takeover.',
  labelNames: ['start'],
  registers,
});

export const turnsEnded = new Counter({
  name: 'switchboard_turns_total',
  help: 'Turns that this process ended or let go. outcome: completed, failed, cancelled, waiting (for a person), lost (goes on elsewhere). code: of the failure, else empty.',
  labelNames: ['outcome', 'code'],
  registers,
});

export const turnSeconds = new Histogram({
  name: 'switchboard_turn_duration_seconds',
  help: 'Time from the moment this process began a turn until it ended it or let it go.',
  labelNames: ['outcome'],
  buckets: slow,
  registers,
});

export const firstTextSeconds = new Histogram({
  name: 'switchboard_turn_first_text_seconds',
  help: 'Time from the moment this process began a turn until its first text was ready for readers.',
  buckets: slow,
  registers,
});

export const takeovers = new Counter({
  name: 'switchboard_takeovers_total',
  help: 'Turns that this process found left behind by another one. reason: died, handed_over (it stopped in order). result: continued, ended.',
  labelNames: ['reason', 'result'],
  registers,
});

export const handoffs = new Counter({
  name: 'switchboard_handoffs_total',
  help: 'Conversations that one agent has passed to another.',
  registers,
});

export const modelSeconds = new Histogram({
  name: 'switchboard_model_call_duration_seconds',
  help: 'Time of a model call, to the end of its answer. purpose: turn, guardrail, test, title. outcome: OK, CANCELLED or the code of the failure.',
  labelNames: ['purpose', 'model', 'outcome'],
  buckets: slow,
  registers,
});

export const firstTokenSeconds = new Histogram({
  name: 'switchboard_model_first_token_seconds',
  help: 'Time from a request to a model until its first text or reasoning.',
  labelNames: ['model'],
  buckets: slow,
  registers,
});

export const tokenRate = new Histogram({
  name: 'switchboard_model_output_tokens_per_second',
  help: 'Output tokens of a model call, by the time from its first token to its end.',
  labelNames: ['model'],
  buckets: rates,
  registers,
});

export const tokens = new Counter({
  name: 'switchboard_model_tokens_total',
  help: 'Tokens that providers reported. type: input, output, and the parts cached_input, cache_write_input, reasoning.',
  labelNames: ['model', 'type'],
  registers,
});

export const toolSeconds = new Histogram({
  name: 'switchboard_tool_call_duration_seconds',
  help: 'Time of a tool call. source: BUILTIN, HTTP, MCP. outcome: ok, error (for the model), failed, timeout, cancelled.',
  labelNames: ['source', 'outcome'],
  buckets: [...fast, 30, 60],
  registers,
});

export const guardrailChecks = new Counter({
  name: 'switchboard_guardrail_checks_total',
  help: 'Results of guardrails. stage: INPUT, OUTPUT, TOOL_INPUT, TOOL_OUTPUT. action: ALLOW, BLOCK, REDACT.',
  labelNames: ['stage', 'action'],
  registers,
});

export const webhookDeliveries = new Counter({
  name: 'switchboard_webhook_attempts_total',
  help: 'Attempts to send a webhook delivery. outcome: delivered, retried (failed, and sent again later), given_up.',
  labelNames: ['outcome'],
  registers,
});

export const webhookSeconds = new Histogram({
  name: 'switchboard_webhook_attempt_duration_seconds',
  help: 'Time of an attempt to send a webhook delivery.',
  buckets: [...fast, 30],
  registers,
});

export const operations = new Counter({
  name: 'switchboard_operations_total',
  help: 'GraphQL operations that ended. transport: http, ws. type: query, mutation, subscription, none (not parsed). code: of the first error, else OK.',
  labelNames: ['transport', 'type', 'code'],
  registers,
});

export const operationSeconds = new Histogram({
  name: 'switchboard_operation_duration_seconds',
  help: 'Time of a query or a mutation.',
  labelNames: ['transport', 'type'],
  buckets: fast,
  registers,
});

export const refusals = new Counter({
  name: 'switchboard_limit_refusals_total',
  help: 'Requests that a limit refused with RATE_LIMITED. limit: what was limited. scope: user, tenant, process; waiting: too many wait for the same; pace: large answers are read too fast.',
  labelNames: ['limit', 'scope'],
  registers,
});

export const connectionWaitSeconds = new Histogram({
  name: 'switchboard_database_share_wait_seconds',
  help: 'Time that a statement waited because its user or tenant had as many connections as they may; none if it did not wait.',
  buckets: fast,
  registers,
});

const build = new Gauge({
  name: 'switchboard_build_info',
  help: 'Always 1. version: of Switchboard. node: of Node.',
  labelNames: ['version', 'node'],
  registers,
});

let isCollecting = false;

/**
 * Adds what is only measured if somebody reads it: the defaults of the process (CPU, memory, files, garbage collection,
 * delay of the event loop) and the version. Later calls do nothing.
 */
export function collectProcessMetrics(version: string): void {
  if (isCollecting) return;
  isCollecting = true;
  collectDefaultMetrics({ register: registry });
  build.set({ version, node: process.versions.node }, 1);
}

export const providerSeconds = new Histogram({
  name: 'switchboard_provider_request_duration_seconds',
  help: 'Time of a request to a provider that is no model call, to the end of its answer. purpose: moderation, speech, transcription, realtime_key. outcome: OK, CANCELLED or what is wrong with the provider.',
  labelNames: ['purpose', 'outcome'],
  buckets: slow,
  registers,
});

export const snapshotSeconds = new Histogram({
  name: 'switchboard_context_snapshot_duration_seconds',
  help: 'Time until a context snapshot was made, with the records that tools have read for it. truncated: whether something was left out.',
  labelNames: ['truncated'],
  buckets: fast,
  registers,
});

export const realtimeSessions = new Counter({
  name: 'switchboard_realtime_sessions_total',
  help: 'Calls by voice for which this process has minted a key.',
  registers,
});

export const realtimeItems = new Counter({
  name: 'switchboard_realtime_items_total',
  help: 'Items of transcripts that clients have sent. result: stored, known (sent again).',
  labelNames: ['result'],
  registers,
});

export const rowsPurged = new Counter({
  name: 'switchboard_purged_rows_total',
  help: 'Rows that were deleted because they are kept no longer. kind: archives, conversations, guardrailResults, ledger.',
  labelNames: ['kind'],
  registers,
});

export const documentsIndexed = new Counter({
  name: 'switchboard_knowledge_documents_total',
  help: 'Documents that this process has indexed. outcome: ready, unreadable (the document is to blame), failed (given up).',
  labelNames: ['outcome'],
  registers,
});

export const indexedChunks = new Counter({
  name: 'switchboard_knowledge_chunks_total',
  help: 'Chunks of documents that this process has indexed.',
  registers,
});

export const jobsEnded = new Counter({
  name: 'switchboard_jobs_total',
  help: 'Attempts at background jobs. outcome: completed, retried (failed, to be tried again), failed (for the last time), handed_over (this process stops).',
  labelNames: ['job', 'outcome'],
  registers,
});

export const jobSeconds = new Histogram({
  name: 'switchboard_job_duration_seconds',
  help: 'Time of an attempt at a background job.',
  labelNames: ['job'],
  buckets: slow,
  registers,
});

export const embeddingSeconds = new Histogram({
  name: 'switchboard_embedding_duration_seconds',
  help: 'Time of embedding texts, with all attempts. purpose: index, query. outcome: ok, failed.',
  labelNames: ['purpose', 'outcome'],
  buckets: slow,
  registers,
});

export const embeddedTexts = new Counter({
  name: 'switchboard_embedded_texts_total',
  help: 'Texts that providers have embedded. purpose: index, query. Those whose vectors are known are not counted.',
  labelNames: ['purpose'],
  registers,
});

export const knowledgeSearches = new Counter({
  name: 'switchboard_knowledge_searches_total',
  help: 'Searches in knowledge bases. mode: hybrid, full_text (no vectors), fallback (full text, because the embedding provider failed). found: yes, no.',
  labelNames: ['mode', 'found'],
  registers,
});

export const searchSeconds = new Histogram({
  name: 'switchboard_knowledge_search_duration_seconds',
  help: 'Time of a search in knowledge bases, with the embedding of its text.',
  labelNames: ['mode'],
  buckets: fast,
  registers,
});
