-- CreateEnum
CREATE TYPE "WebhookEvent" AS ENUM ('TICKET_CREATED', 'TICKET_UPDATED', 'TICKET_COMMENTED', 'RUN_ENDED', 'FEEDBACK_GIVEN');

-- CreateEnum
CREATE TYPE "WebhookDeliveryStatus" AS ENUM ('PENDING', 'DELIVERED', 'FAILED');

-- AlterTable
ALTER TABLE "secrets" ADD COLUMN     "webhook_id" UUID;

-- CreateTable
CREATE TABLE "webhooks" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "events" "WebhookEvent"[],
    "is_active" BOOLEAN NOT NULL DEFAULT true,
    "overlap_ends_at" TIMESTAMPTZ(3),
    "lease_owner" UUID,
    "lease_expires_at" TIMESTAMPTZ(3),
    "served_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhooks_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_deliveries" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "tenant_id" TEXT NOT NULL,
    "webhook_id" UUID NOT NULL,
    "number" BIGSERIAL NOT NULL,
    "event" "WebhookEvent" NOT NULL,
    "body" JSONB,
    "status" "WebhookDeliveryStatus" NOT NULL DEFAULT 'PENDING',
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "earlier_attempts" INTEGER NOT NULL DEFAULT 0,
    "last_status_code" INTEGER,
    "last_error" TEXT,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "given_up_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhook_deliveries_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "webhooks_tenant_id_created_at_id_idx" ON "webhooks"("tenant_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "webhooks_tenant_id_id_key" ON "webhooks"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "webhook_deliveries_webhook_id_created_at_id_idx" ON "webhook_deliveries"("webhook_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "webhook_deliveries_webhook_id_status_created_at_id_idx" ON "webhook_deliveries"("webhook_id", "status", "created_at", "id");

-- CreateIndex
CREATE INDEX "webhook_deliveries_status_created_at_idx" ON "webhook_deliveries"("status", "created_at");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_deliveries_tenant_id_id_key" ON "webhook_deliveries"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "secrets_webhook_id_name_key" ON "secrets"("webhook_id", "name");

-- AddForeignKey
ALTER TABLE "secrets" ADD CONSTRAINT "secrets_tenant_id_webhook_id_fkey" FOREIGN KEY ("tenant_id", "webhook_id") REFERENCES "webhooks"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhooks" ADD CONSTRAINT "webhooks_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_tenant_id_webhook_id_fkey" FOREIGN KEY ("tenant_id", "webhook_id") REFERENCES "webhooks"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- A secret belongs to exactly one owner; webhooks are a new kind of owner.
ALTER TABLE "secrets" DROP CONSTRAINT "secrets_one_owner",
    ADD CONSTRAINT "secrets_one_owner" CHECK (num_nonnulls("agent_id", "tool_id", "mcp_server_id", "webhook_id") = 1);

ALTER TABLE "webhooks" ADD CONSTRAINT "webhooks_lease" CHECK (("lease_owner" IS NULL) = ("lease_expires_at" IS NULL));

-- What is to be sent: the first of each webhook is found without reading the others.
CREATE INDEX "webhook_deliveries_pending_idx" ON "webhook_deliveries" ("webhook_id", "next_attempt_at", "number")
    WHERE "status" = 'PENDING';

-- Whoever changes something that webhooks are told of calls this in the same transaction (webhooks/outbox.ts, and the trigger
-- below). The lock keeps a webhook that is being deleted from failing the change that it is told of: who deletes it waits, or
-- its row is passed over.
CREATE FUNCTION append_webhook_deliveries(tenant TEXT, kind "WebhookEvent", contents JSONB) RETURNS void LANGUAGE sql AS $$
    INSERT INTO webhook_deliveries (tenant_id, webhook_id, event, body, next_attempt_at, given_up_at, created_at)
    SELECT tenant, told.id, kind, contents, clock_timestamp(), clock_timestamp() + interval '26 hours', clock_timestamp()
    FROM (
        SELECT id FROM webhooks WHERE tenant_id = tenant AND is_active AND kind = ANY (events) FOR KEY SHARE
    ) AS told
$$;

CREATE FUNCTION webhook_time(at TIMESTAMPTZ) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
    SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- The end of a turn is one statement (runs/transitions), and stays one. For tenants without such a webhook the trigger is a look
-- into an index.
CREATE FUNCTION webhook_run_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM webhooks WHERE tenant_id = NEW.tenant_id AND is_active AND 'RUN_ENDED' = ANY (events)
    ) THEN
        RETURN NULL;
    END IF;
    PERFORM append_webhook_deliveries(NEW.tenant_id, 'RUN_ENDED', jsonb_build_object(
        'type', 'run.ended',
        'version', 1,
        'timestamp', webhook_time(coalesce(NEW.finished_at, clock_timestamp())),
        'data', jsonb_build_object(
            'id', 'run_' || NEW.id,
            'conversationId', 'conv_' || NEW.conversation_id,
            'userId', NEW.user_id,
            'agentId', 'agt_' || NEW.agent_id,
            'status', NEW.status,
            'errorCode', NEW.error_code,
            'createdAt', webhook_time(NEW.created_at),
            'startedAt', webhook_time(NEW.started_at),
            'finishedAt', webhook_time(NEW.finished_at)
        )
    ));
    RETURN NULL;
END $$;

CREATE TRIGGER "runs_webhooks" AFTER UPDATE OF "status" ON "runs" FOR EACH ROW
    WHEN (NEW.status IN ('COMPLETED', 'FAILED', 'CANCELLED') AND OLD.status NOT IN ('COMPLETED', 'FAILED', 'CANCELLED'))
    EXECUTE FUNCTION webhook_run_ended();
