-- CreateEnum
CREATE TYPE "FeedbackRating" AS ENUM ('UP', 'DOWN');

-- AlterTable
ALTER TABLE "runs" ADD COLUMN     "scenario_id" UUID,
ADD COLUMN     "scenario_version" INTEGER;

-- AlterTable
ALTER TABLE "webhook_deliveries" ADD COLUMN     "feedback_id" UUID;

-- CreateTable
CREATE TABLE "feedback" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "message_id" UUID NOT NULL,
    "user_id" TEXT NOT NULL,
    "agent_id" UUID,
    "scenario_id" UUID,
    "scenario_version" INTEGER,
    "rating" "FeedbackRating" NOT NULL,
    "comment" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "feedback_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "feedback_tenant_id_created_at_id_idx" ON "feedback"("tenant_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "feedback_tenant_id_rating_created_at_id_idx" ON "feedback"("tenant_id", "rating", "created_at", "id");

-- CreateIndex
CREATE INDEX "feedback_tenant_id_agent_id_created_at_id_idx" ON "feedback"("tenant_id", "agent_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "feedback_tenant_id_scenario_id_created_at_id_idx" ON "feedback"("tenant_id", "scenario_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "feedback_tenant_id_id_key" ON "feedback"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "feedback_tenant_id_message_id_key" ON "feedback"("tenant_id", "message_id");

-- CreateIndex
CREATE INDEX "webhook_deliveries_tenant_id_feedback_id_idx" ON "webhook_deliveries"("tenant_id", "feedback_id");

-- AddForeignKey
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_tenant_id_feedback_id_fkey" FOREIGN KEY ("tenant_id", "feedback_id") REFERENCES "feedback"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "feedback" ADD CONSTRAINT "feedback_tenant_id_message_id_fkey" FOREIGN KEY ("tenant_id", "message_id") REFERENCES "messages"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;


-- Deliveries that tell of feedback are deleted with it, as those of tickets are.
DROP FUNCTION append_webhook_deliveries(TEXT, "WebhookEvent", JSONB, UUID);
CREATE FUNCTION append_webhook_deliveries(
    tenant TEXT, kind "WebhookEvent", contents JSONB, ticket UUID DEFAULT NULL, feedback UUID DEFAULT NULL
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO webhook_deliveries
        (tenant_id, webhook_id, event, ticket_id, feedback_id, body, next_attempt_at, given_up_at, created_at)
    SELECT tenant, told.id, kind, ticket, feedback, contents, clock_timestamp(), clock_timestamp() + interval '26 hours',
        clock_timestamp()
    FROM (
        SELECT id FROM webhooks WHERE tenant_id = tenant AND is_active AND kind = ANY (events) FOR KEY SHARE
    ) AS told
$$;
