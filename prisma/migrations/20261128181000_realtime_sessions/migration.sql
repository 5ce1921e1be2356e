-- CreateTable
CREATE TABLE "realtime_sessions" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "conversation_id" UUID NOT NULL,
    "scenario_id" UUID NOT NULL,
    "scenario_version" INTEGER NOT NULL,
    "root_agent_id" UUID NOT NULL,
    "active_agent_id" UUID NOT NULL,
    "model" TEXT NOT NULL,
    "voice" TEXT,
    "item_count" INTEGER NOT NULL DEFAULT 0,
    "last_item_at" TIMESTAMPTZ(3),
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ends_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "realtime_sessions_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "realtime_items" (
    "conversation_id" UUID NOT NULL,
    "item_id" TEXT NOT NULL,
    "session_id" UUID NOT NULL,
    "message_id" UUID NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "realtime_items_pkey" PRIMARY KEY ("conversation_id","item_id")
);

-- CreateTable
CREATE TABLE "realtime_guardrail_results" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "session_id" UUID NOT NULL,
    "agent_id" UUID NOT NULL,
    "guardrail" TEXT NOT NULL,
    "stage" "GuardrailStage" NOT NULL,
    "tripwire_triggered" BOOLEAN NOT NULL,
    "decision" JSONB NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "realtime_guardrail_results_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "realtime_sessions_tenant_id_user_id_ends_at_idx" ON "realtime_sessions"("tenant_id", "user_id", "ends_at");

-- CreateIndex
CREATE INDEX "realtime_sessions_conversation_id_idx" ON "realtime_sessions"("conversation_id");

-- CreateIndex
CREATE INDEX "realtime_sessions_tenant_id_scenario_id_idx" ON "realtime_sessions"("tenant_id", "scenario_id");

-- CreateIndex
CREATE INDEX "realtime_sessions_tenant_id_root_agent_id_idx" ON "realtime_sessions"("tenant_id", "root_agent_id");

-- CreateIndex
CREATE INDEX "realtime_sessions_tenant_id_active_agent_id_idx" ON "realtime_sessions"("tenant_id", "active_agent_id");

-- CreateIndex
CREATE INDEX "realtime_sessions_ends_at_idx" ON "realtime_sessions"("ends_at");

-- CreateIndex
CREATE UNIQUE INDEX "realtime_sessions_tenant_id_id_key" ON "realtime_sessions"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "realtime_items_session_id_idx" ON "realtime_items"("session_id");

-- CreateIndex
CREATE UNIQUE INDEX "realtime_items_conversation_id_message_id_key" ON "realtime_items"("conversation_id", "message_id");

-- CreateIndex
CREATE INDEX "realtime_guardrail_results_session_id_at_id_idx" ON "realtime_guardrail_results"("session_id", "at", "id");

-- CreateIndex
CREATE INDEX "realtime_guardrail_results_tenant_id_agent_id_idx" ON "realtime_guardrail_results"("tenant_id", "agent_id");

-- AddForeignKey
ALTER TABLE "realtime_sessions" ADD CONSTRAINT "realtime_sessions_tenant_id_user_id_fkey" FOREIGN KEY ("tenant_id", "user_id") REFERENCES "users"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "realtime_sessions" ADD CONSTRAINT "realtime_sessions_tenant_id_conversation_id_fkey" FOREIGN KEY ("tenant_id", "conversation_id") REFERENCES "conversations"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "realtime_sessions" ADD CONSTRAINT "realtime_sessions_tenant_id_scenario_id_fkey" FOREIGN KEY ("tenant_id", "scenario_id") REFERENCES "scenarios"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "realtime_sessions" ADD CONSTRAINT "realtime_sessions_tenant_id_root_agent_id_fkey" FOREIGN KEY ("tenant_id", "root_agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "realtime_sessions" ADD CONSTRAINT "realtime_sessions_tenant_id_active_agent_id_fkey" FOREIGN KEY ("tenant_id", "active_agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "realtime_items" ADD CONSTRAINT "realtime_items_session_id_fkey" FOREIGN KEY ("session_id") REFERENCES "realtime_sessions"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "realtime_items" ADD CONSTRAINT "realtime_items_conversation_id_message_id_fkey" FOREIGN KEY ("conversation_id", "message_id") REFERENCES "messages"("conversation_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "realtime_guardrail_results" ADD CONSTRAINT "realtime_guardrail_results_tenant_id_session_id_fkey" FOREIGN KEY ("tenant_id", "session_id") REFERENCES "realtime_sessions"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "realtime_guardrail_results" ADD CONSTRAINT "realtime_guardrail_results_tenant_id_agent_id_fkey" FOREIGN KEY ("tenant_id", "agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- The bounds of realtime/limits.ts, with room: no row is larger, whoever writes it.
ALTER TABLE "realtime_sessions"
  ADD CONSTRAINT "realtime_sessions_model_check" CHECK (char_length("model") BETWEEN 1 AND 200),
  ADD CONSTRAINT "realtime_sessions_voice_check" CHECK (char_length("voice") BETWEEN 1 AND 200),
  ADD CONSTRAINT "realtime_sessions_item_count_check" CHECK ("item_count" BETWEEN 0 AND 10000),
  ADD CONSTRAINT "realtime_sessions_ends_at_check" CHECK ("ends_at" >= "expires_at");
ALTER TABLE "realtime_items"
  ADD CONSTRAINT "realtime_items_item_id_check" CHECK (char_length("item_id") BETWEEN 1 AND 255);
