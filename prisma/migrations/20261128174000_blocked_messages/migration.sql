-- A message that a guardrail has blocked: its author sees it, no model is given it.
ALTER TYPE "MessageStatus" ADD VALUE 'BLOCKED';

-- Results of messages that are checked without a run.
ALTER TABLE "guardrail_results" ADD COLUMN "message_id" UUID,
ALTER COLUMN "run_id" DROP NOT NULL;
ALTER TABLE "guardrail_results" ADD CONSTRAINT "guardrail_results_of_run_or_message" CHECK (num_nonnulls("run_id", "message_id") = 1);

-- CreateIndex
CREATE INDEX "guardrail_results_message_id_at_id_idx" ON "guardrail_results"("message_id", "at", "id");

-- AddForeignKey
ALTER TABLE "guardrail_results" ADD CONSTRAINT "guardrail_results_tenant_id_message_id_fkey" FOREIGN KEY ("tenant_id", "message_id") REFERENCES "messages"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;
