-- CreateEnum
CREATE TYPE "GuardrailStage" AS ENUM ('INPUT', 'OUTPUT', 'TOOL_INPUT', 'TOOL_OUTPUT');

-- AlterTable
ALTER TABLE "agents" ADD COLUMN     "guardrails" JSONB NOT NULL DEFAULT '[]';

-- AlterTable
ALTER TABLE "scenarios" ADD COLUMN     "unread_guardrails" JSONB,
ALTER COLUMN "guardrails" SET DEFAULT '[]';

-- Earlier versions stored any JSON object here, and carried none of it out. An empty one is no guardrail. What is in the
-- others cannot be read as guardrails: it is kept aside, where Scenario.unreadGuardrails shows it.
UPDATE "scenarios" SET "unread_guardrails" = nullif("guardrails", '{}'::jsonb), "guardrails" = '[]';
ALTER TABLE "scenarios" ADD CONSTRAINT "scenarios_guardrails_list" CHECK (jsonb_typeof("guardrails") = 'array');

-- The guardrails of an agent are part of its size.
ALTER TABLE "agents" ADD CONSTRAINT "agents_guardrails_list" CHECK (jsonb_typeof("guardrails") = 'array');
ALTER TABLE "agents" DROP COLUMN "bytes";
ALTER TABLE "agents" ADD COLUMN "bytes" INTEGER NOT NULL GENERATED ALWAYS AS (
    octet_length("instructions") + coalesce(octet_length("description"), 0) + coalesce(octet_length("llm"::text), 0)
    + coalesce(octet_length("tts"::text), 0) + coalesce(octet_length("stt"::text), 0) + octet_length("guardrails"::text)
) STORED;

-- CreateTable
CREATE TABLE "guardrail_results" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "run_id" UUID NOT NULL,
    "agent_id" UUID NOT NULL,
    "step" INTEGER NOT NULL,
    "guardrail" TEXT NOT NULL,
    "stage" "GuardrailStage" NOT NULL,
    "tripwire_triggered" BOOLEAN NOT NULL,
    "decision" JSONB NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "guardrail_results_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "guardrail_results_run_id_at_id_idx" ON "guardrail_results"("run_id", "at", "id");

-- CreateIndex
CREATE INDEX "guardrail_results_tenant_id_agent_id_idx" ON "guardrail_results"("tenant_id", "agent_id");

-- AddForeignKey
ALTER TABLE "guardrail_results" ADD CONSTRAINT "guardrail_results_tenant_id_run_id_fkey" FOREIGN KEY ("tenant_id", "run_id") REFERENCES "runs"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "guardrail_results" ADD CONSTRAINT "guardrail_results_tenant_id_agent_id_fkey" FOREIGN KEY ("tenant_id", "agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;
