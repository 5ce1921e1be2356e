import { Prisma } from '../../generated/prisma/client.ts';

/** All columns of a run, named as Prisma names them: what a statement by hand returns is a Run. */
export const runColumns = Prisma.sql`
  id::text, tenant_id AS "tenantId", conversation_id::text AS "conversationId", user_id AS "userId", number,
  status::text, idempotency_key AS "idempotencyKey", payload_hash AS "payloadHash", input,
  user_message_id::text AS "userMessageId", is_current AS "isCurrent", queued_position AS "queuedPosition", agent_id::text AS "agentId", last_seq AS "lastSeq",
  routing_decision AS "routingDecision", error_code AS "errorCode", error_message AS "errorMessage",
  error_retryable AS "errorRetryable", lease_owner AS "leaseOwner", lease_expires_at AS "leaseExpiresAt",
  lease_epoch AS "leaseEpoch", reserved_seq AS "reservedSeq",
  scenario_id::text AS "scenarioId", scenario_version AS "scenarioVersion", resumed_count AS "resumedCount", died_count AS "diedCount",
  leased_at AS "leasedAt", elapsed_ms AS "elapsedMs",
  cancel_requested_at AS "cancelRequestedAt", action_expires_at AS "actionExpiresAt", created_at AS "createdAt",
  started_at AS "startedAt", finished_at AS "finishedAt"`;
