-- CreateEnum
CREATE TYPE "MessageRole" AS ENUM ('USER', 'ASSISTANT', 'SYSTEM');

-- CreateEnum
CREATE TYPE "MessageStatus" AS ENUM ('COMPLETE', 'STREAMING', 'PARTIAL', 'REDACTED');

-- CreateEnum
CREATE TYPE "MessageSource" AS ENUM ('CHAT', 'REALTIME', 'IMPORT');

-- CreateEnum
CREATE TYPE "RunStatus" AS ENUM ('QUEUED', 'RUNNING', 'REQUIRES_ACTION', 'COMPLETED', 'FAILED', 'CANCELLED');

-- CreateEnum
CREATE TYPE "ToolCallStatus" AS ENUM ('PENDING', 'AWAITING_APPROVAL', 'RUNNING', 'SUCCEEDED', 'FAILED', 'DENIED', 'CANCELLED');

-- CreateTable
CREATE TABLE "tenants" (
    "id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "seeded_with" TEXT,

    CONSTRAINT "tenants_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "users" (
    "tenant_id" TEXT NOT NULL,
    "id" TEXT NOT NULL,
    "conversation_count" INTEGER NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "users_pkey" PRIMARY KEY ("tenant_id","id")
);

-- CreateTable
CREATE TABLE "chat_settings" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "enabled_tools" TEXT[],
    "model" TEXT,
    "temperature" DOUBLE PRECISION NOT NULL DEFAULT 0.7,
    "max_tokens" INTEGER NOT NULL DEFAULT 2000,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "chat_settings_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "chat_settings_agents" (
    "tenant_id" TEXT NOT NULL,
    "settings_id" UUID NOT NULL,
    "agent_id" UUID NOT NULL,
    "position" INTEGER NOT NULL,

    CONSTRAINT "chat_settings_agents_pkey" PRIMARY KEY ("settings_id","agent_id")
);

-- CreateTable
CREATE TABLE "agents" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "owner_id" TEXT,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "instructions" TEXT NOT NULL,
    "is_default" BOOLEAN NOT NULL DEFAULT false,
    "is_active" BOOLEAN NOT NULL DEFAULT true,
    "llm" JSONB,
    "tts" JSONB,
    "stt" JSONB,
    "tool_names" TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "agents_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "scenarios" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "guardrails" JSONB NOT NULL DEFAULT '{}',
    "is_active" BOOLEAN NOT NULL DEFAULT true,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "scenarios_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "scenario_agents" (
    "tenant_id" TEXT NOT NULL,
    "scenario_id" UUID NOT NULL,
    "agent_id" UUID NOT NULL,
    "is_root" BOOLEAN NOT NULL DEFAULT false,
    "position" INTEGER NOT NULL,

    CONSTRAINT "scenario_agents_pkey" PRIMARY KEY ("scenario_id","agent_id")
);

-- CreateTable
CREATE TABLE "handoff_edges" (
    "scenario_id" UUID NOT NULL,
    "from_agent_id" UUID NOT NULL,
    "to_agent_id" UUID NOT NULL,
    "description" TEXT,
    "position" INTEGER NOT NULL,

    CONSTRAINT "handoff_edges_pkey" PRIMARY KEY ("scenario_id","from_agent_id","to_agent_id")
);

-- CreateTable
CREATE TABLE "conversations" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "project_id" TEXT,
    "title" TEXT NOT NULL,
    "auto_title" BOOLEAN NOT NULL DEFAULT true,
    "scenario_id" UUID,
    "active_agent_id" UUID,
    "message_count" INTEGER NOT NULL DEFAULT 0,
    "run_count" INTEGER NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "conversations_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "messages" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "conversation_id" UUID NOT NULL,
    "position" INTEGER NOT NULL,
    "role" "MessageRole" NOT NULL,
    "status" "MessageStatus" NOT NULL DEFAULT 'COMPLETE',
    "content" TEXT NOT NULL,
    "agent_id" UUID,
    "run_id" UUID,
    "step" INTEGER,
    "attachments" JSONB NOT NULL DEFAULT '[]',
    "routing_decision" JSONB,
    "source" "MessageSource" NOT NULL DEFAULT 'CHAT',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "messages_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "runs" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "conversation_id" UUID NOT NULL,
    "user_id" TEXT NOT NULL,
    "number" INTEGER NOT NULL,
    "status" "RunStatus" NOT NULL,
    "idempotency_key" TEXT NOT NULL,
    "payload_hash" TEXT NOT NULL,
    "input" JSONB NOT NULL,
    "user_message_id" UUID NOT NULL,
    "agent_id" UUID,
    "last_seq" INTEGER NOT NULL DEFAULT 0,
    "routing_decision" JSONB,
    "error_code" TEXT,
    "error_message" TEXT,
    "error_retryable" BOOLEAN,
    "lease_owner" TEXT,
    "lease_expires_at" TIMESTAMPTZ(3),
    "cancel_requested_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "runs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "tool_calls" (
    "row_id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "conversation_id" UUID NOT NULL,
    "run_id" UUID,
    "message_id" UUID,
    "call_id" TEXT NOT NULL,
    "step" INTEGER NOT NULL,
    "index" INTEGER NOT NULL,
    "name" TEXT NOT NULL,
    "arguments" TEXT NOT NULL,
    "result" JSONB,
    "status" "ToolCallStatus" NOT NULL,
    "error" TEXT,
    "agent_id" UUID,
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "tool_calls_pkey" PRIMARY KEY ("row_id")
);

-- CreateTable
CREATE TABLE "handoffs" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "run_id" UUID NOT NULL,
    "call_id" TEXT NOT NULL,
    "step" INTEGER NOT NULL,
    "from_agent_id" UUID NOT NULL,
    "to_agent_id" UUID NOT NULL,
    "reason" TEXT,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "handoffs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "model_calls" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "conversation_id" UUID,
    "run_id" UUID,
    "agent_id" UUID,
    "step" INTEGER NOT NULL,
    "model" TEXT NOT NULL,
    "input_tokens" INTEGER NOT NULL DEFAULT 0,
    "output_tokens" INTEGER NOT NULL DEFAULT 0,
    "cached_input_tokens" INTEGER NOT NULL DEFAULT 0,
    "cache_write_input_tokens" INTEGER NOT NULL DEFAULT 0,
    "reasoning_tokens" INTEGER NOT NULL DEFAULT 0,
    "complete" BOOLEAN NOT NULL,
    "duration_ms" INTEGER NOT NULL,
    "time_to_first_token_ms" INTEGER,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "model_calls_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "run_archives" (
    "run_id" UUID NOT NULL,
    "events" TEXT NOT NULL,

    CONSTRAINT "run_archives_pkey" PRIMARY KEY ("run_id")
);

-- CreateTable
CREATE TABLE "orders" (
    "tenant_id" TEXT NOT NULL,
    "number" TEXT NOT NULL,
    "item" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "total" TEXT NOT NULL,
    "eta" TEXT,

    CONSTRAINT "orders_pkey" PRIMARY KEY ("tenant_id","number")
);

-- CreateIndex
CREATE UNIQUE INDEX "chat_settings_tenant_id_user_id_key" ON "chat_settings"("tenant_id", "user_id");

-- CreateIndex
CREATE UNIQUE INDEX "chat_settings_tenant_id_id_key" ON "chat_settings"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "chat_settings_agents_tenant_id_agent_id_idx" ON "chat_settings_agents"("tenant_id", "agent_id");

-- CreateIndex
CREATE INDEX "agents_tenant_id_owner_id_created_at_id_idx" ON "agents"("tenant_id", "owner_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "agents_tenant_id_id_key" ON "agents"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "scenarios_tenant_id_created_at_id_idx" ON "scenarios"("tenant_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "scenarios_tenant_id_id_key" ON "scenarios"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "scenarios_tenant_id_key_key" ON "scenarios"("tenant_id", "key");

-- CreateIndex
CREATE INDEX "scenario_agents_tenant_id_agent_id_idx" ON "scenario_agents"("tenant_id", "agent_id");

-- CreateIndex
CREATE INDEX "handoff_edges_scenario_id_to_agent_id_idx" ON "handoff_edges"("scenario_id", "to_agent_id");

-- CreateIndex
CREATE INDEX "conversations_tenant_id_user_id_updated_at_id_idx" ON "conversations"("tenant_id", "user_id", "updated_at", "id");

-- CreateIndex
CREATE INDEX "conversations_tenant_id_user_id_created_at_id_idx" ON "conversations"("tenant_id", "user_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "conversations_tenant_id_user_id_title_id_idx" ON "conversations"("tenant_id", "user_id", "title", "id");

-- CreateIndex
CREATE INDEX "conversations_tenant_id_scenario_id_idx" ON "conversations"("tenant_id", "scenario_id");

-- CreateIndex
CREATE INDEX "conversations_tenant_id_active_agent_id_idx" ON "conversations"("tenant_id", "active_agent_id");

-- CreateIndex
CREATE UNIQUE INDEX "conversations_tenant_id_id_key" ON "conversations"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "messages_run_id_position_idx" ON "messages"("run_id", "position");

-- CreateIndex
CREATE INDEX "messages_tenant_id_agent_id_idx" ON "messages"("tenant_id", "agent_id");

-- CreateIndex
CREATE UNIQUE INDEX "messages_tenant_id_id_key" ON "messages"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "messages_conversation_id_position_key" ON "messages"("conversation_id", "position");

-- CreateIndex
CREATE UNIQUE INDEX "messages_conversation_id_id_key" ON "messages"("conversation_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "runs_user_message_id_key" ON "runs"("user_message_id");

-- CreateIndex
CREATE INDEX "runs_status_lease_expires_at_idx" ON "runs"("status", "lease_expires_at");

-- CreateIndex
CREATE INDEX "runs_tenant_id_agent_id_idx" ON "runs"("tenant_id", "agent_id");

-- CreateIndex
CREATE UNIQUE INDEX "runs_tenant_id_id_key" ON "runs"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "runs_conversation_id_id_key" ON "runs"("conversation_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "runs_conversation_id_user_message_id_key" ON "runs"("conversation_id", "user_message_id");

-- CreateIndex
CREATE UNIQUE INDEX "runs_conversation_id_idempotency_key_key" ON "runs"("conversation_id", "idempotency_key");

-- CreateIndex
CREATE UNIQUE INDEX "runs_conversation_id_number_key" ON "runs"("conversation_id", "number");

-- CreateIndex
CREATE INDEX "tool_calls_run_id_step_index_idx" ON "tool_calls"("run_id", "step", "index");

-- CreateIndex
CREATE INDEX "tool_calls_message_id_idx" ON "tool_calls"("message_id");

-- CreateIndex
CREATE INDEX "tool_calls_tenant_id_agent_id_idx" ON "tool_calls"("tenant_id", "agent_id");

-- CreateIndex
CREATE UNIQUE INDEX "tool_calls_run_id_call_id_key" ON "tool_calls"("run_id", "call_id");

-- CreateIndex
CREATE INDEX "handoffs_run_id_step_idx" ON "handoffs"("run_id", "step");

-- CreateIndex
CREATE INDEX "handoffs_tenant_id_from_agent_id_idx" ON "handoffs"("tenant_id", "from_agent_id");

-- CreateIndex
CREATE INDEX "handoffs_tenant_id_to_agent_id_idx" ON "handoffs"("tenant_id", "to_agent_id");

-- CreateIndex
CREATE UNIQUE INDEX "handoffs_run_id_call_id_key" ON "handoffs"("run_id", "call_id");

-- CreateIndex
CREATE INDEX "model_calls_tenant_id_user_id_created_at_idx" ON "model_calls"("tenant_id", "user_id", "created_at");

-- CreateIndex
CREATE INDEX "model_calls_conversation_id_idx" ON "model_calls"("conversation_id");

-- CreateIndex
CREATE INDEX "model_calls_run_id_idx" ON "model_calls"("run_id");

-- AddForeignKey
ALTER TABLE "users" ADD CONSTRAINT "users_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "chat_settings" ADD CONSTRAINT "chat_settings_tenant_id_user_id_fkey" FOREIGN KEY ("tenant_id", "user_id") REFERENCES "users"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "chat_settings_agents" ADD CONSTRAINT "chat_settings_agents_tenant_id_settings_id_fkey" FOREIGN KEY ("tenant_id", "settings_id") REFERENCES "chat_settings"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "chat_settings_agents" ADD CONSTRAINT "chat_settings_agents_tenant_id_agent_id_fkey" FOREIGN KEY ("tenant_id", "agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "agents" ADD CONSTRAINT "agents_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "agents" ADD CONSTRAINT "agents_tenant_id_owner_id_fkey" FOREIGN KEY ("tenant_id", "owner_id") REFERENCES "users"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "scenarios" ADD CONSTRAINT "scenarios_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "scenario_agents" ADD CONSTRAINT "scenario_agents_tenant_id_scenario_id_fkey" FOREIGN KEY ("tenant_id", "scenario_id") REFERENCES "scenarios"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "scenario_agents" ADD CONSTRAINT "scenario_agents_tenant_id_agent_id_fkey" FOREIGN KEY ("tenant_id", "agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "handoff_edges" ADD CONSTRAINT "handoff_edges_scenario_id_from_agent_id_fkey" FOREIGN KEY ("scenario_id", "from_agent_id") REFERENCES "scenario_agents"("scenario_id", "agent_id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "handoff_edges" ADD CONSTRAINT "handoff_edges_scenario_id_to_agent_id_fkey" FOREIGN KEY ("scenario_id", "to_agent_id") REFERENCES "scenario_agents"("scenario_id", "agent_id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "conversations" ADD CONSTRAINT "conversations_tenant_id_user_id_fkey" FOREIGN KEY ("tenant_id", "user_id") REFERENCES "users"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "conversations" ADD CONSTRAINT "conversations_tenant_id_scenario_id_fkey" FOREIGN KEY ("tenant_id", "scenario_id") REFERENCES "scenarios"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "conversations" ADD CONSTRAINT "conversations_tenant_id_active_agent_id_fkey" FOREIGN KEY ("tenant_id", "active_agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "messages" ADD CONSTRAINT "messages_tenant_id_conversation_id_fkey" FOREIGN KEY ("tenant_id", "conversation_id") REFERENCES "conversations"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "messages" ADD CONSTRAINT "messages_tenant_id_agent_id_fkey" FOREIGN KEY ("tenant_id", "agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "messages" ADD CONSTRAINT "messages_conversation_id_run_id_fkey" FOREIGN KEY ("conversation_id", "run_id") REFERENCES "runs"("conversation_id", "id") ON DELETE NO ACTION ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "runs" ADD CONSTRAINT "runs_tenant_id_conversation_id_fkey" FOREIGN KEY ("tenant_id", "conversation_id") REFERENCES "conversations"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "runs" ADD CONSTRAINT "runs_tenant_id_agent_id_fkey" FOREIGN KEY ("tenant_id", "agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "runs" ADD CONSTRAINT "runs_conversation_id_user_message_id_fkey" FOREIGN KEY ("conversation_id", "user_message_id") REFERENCES "messages"("conversation_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tool_calls" ADD CONSTRAINT "tool_calls_tenant_id_run_id_fkey" FOREIGN KEY ("tenant_id", "run_id") REFERENCES "runs"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tool_calls" ADD CONSTRAINT "tool_calls_tenant_id_message_id_fkey" FOREIGN KEY ("tenant_id", "message_id") REFERENCES "messages"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tool_calls" ADD CONSTRAINT "tool_calls_tenant_id_agent_id_fkey" FOREIGN KEY ("tenant_id", "agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "handoffs" ADD CONSTRAINT "handoffs_tenant_id_run_id_fkey" FOREIGN KEY ("tenant_id", "run_id") REFERENCES "runs"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "handoffs" ADD CONSTRAINT "handoffs_tenant_id_from_agent_id_fkey" FOREIGN KEY ("tenant_id", "from_agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "handoffs" ADD CONSTRAINT "handoffs_tenant_id_to_agent_id_fkey" FOREIGN KEY ("tenant_id", "to_agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "model_calls" ADD CONSTRAINT "model_calls_tenant_id_user_id_fkey" FOREIGN KEY ("tenant_id", "user_id") REFERENCES "users"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "model_calls" ADD CONSTRAINT "model_calls_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "run_archives" ADD CONSTRAINT "run_archives_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "orders" ADD CONSTRAINT "orders_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;


-- By hand from here: what schema.prisma cannot express.

-- Ranges and lengths. char_length counts characters (code points), as the API's limits do.
ALTER TABLE "users"
    ADD CONSTRAINT "users_id_length" CHECK (char_length("id") BETWEEN 1 AND 255),
    ADD CONSTRAINT "users_conversation_count_not_negative" CHECK ("conversation_count" >= 0);
ALTER TABLE "tenants"
    ADD CONSTRAINT "tenants_id_length" CHECK (char_length("id") BETWEEN 1 AND 255);
ALTER TABLE "chat_settings"
    ADD CONSTRAINT "chat_settings_temperature_range" CHECK ("temperature" BETWEEN 0 AND 2),
    ADD CONSTRAINT "chat_settings_max_tokens_range" CHECK ("max_tokens" BETWEEN 1 AND 32000);
ALTER TABLE "chat_settings_agents"
    ADD CONSTRAINT "chat_settings_agents_position_not_negative" CHECK ("position" >= 0);
ALTER TABLE "agents"
    ADD CONSTRAINT "agents_name_length" CHECK (char_length("name") BETWEEN 1 AND 255);
ALTER TABLE "scenarios"
    ADD CONSTRAINT "scenarios_key_length" CHECK (char_length("key") BETWEEN 1 AND 255),
    ADD CONSTRAINT "scenarios_name_length" CHECK (char_length("name") BETWEEN 1 AND 255),
    ADD CONSTRAINT "scenarios_version_positive" CHECK ("version" > 0);
ALTER TABLE "scenario_agents"
    ADD CONSTRAINT "scenario_agents_position_not_negative" CHECK ("position" >= 0);
ALTER TABLE "handoff_edges"
    ADD CONSTRAINT "handoff_edges_position_not_negative" CHECK ("position" >= 0),
    ADD CONSTRAINT "handoff_edges_to_another" CHECK ("from_agent_id" <> "to_agent_id");
ALTER TABLE "conversations"
    ADD CONSTRAINT "conversations_title_length" CHECK (char_length("title") BETWEEN 1 AND 200),
    ADD CONSTRAINT "conversations_message_count_not_negative" CHECK ("message_count" >= 0),
    ADD CONSTRAINT "conversations_run_count_not_negative" CHECK ("run_count" >= 0);
ALTER TABLE "messages"
    ADD CONSTRAINT "messages_position_positive" CHECK ("position" > 0);
ALTER TABLE "runs"
    ADD CONSTRAINT "runs_number_positive" CHECK ("number" > 0),
    ADD CONSTRAINT "runs_last_seq_not_negative" CHECK ("last_seq" >= 0);
ALTER TABLE "tool_calls"
    ADD CONSTRAINT "tool_calls_step_not_negative" CHECK ("step" >= 0),
    ADD CONSTRAINT "tool_calls_index_not_negative" CHECK ("index" >= 0);
ALTER TABLE "handoffs"
    ADD CONSTRAINT "handoffs_step_not_negative" CHECK ("step" >= 0);
ALTER TABLE "model_calls"
    ADD CONSTRAINT "model_calls_step_not_negative" CHECK ("step" >= 0),
    ADD CONSTRAINT "model_calls_tokens_not_negative" CHECK (
        "input_tokens" >= 0 AND "output_tokens" >= 0 AND "cached_input_tokens" >= 0
        AND "cache_write_input_tokens" >= 0 AND "reasoning_tokens" >= 0
    ),
    ADD CONSTRAINT "model_calls_durations_not_negative" CHECK (
        "duration_ms" >= 0 AND ("time_to_first_token_ms" IS NULL OR "time_to_first_token_ms" >= 0)
    );

-- One of a kind.
CREATE UNIQUE INDEX "runs_one_active_per_conversation" ON "runs" ("conversation_id")
    WHERE "status" IN ('RUNNING', 'REQUIRES_ACTION');
CREATE UNIQUE INDEX "agents_one_default_per_owner" ON "agents" ("tenant_id", "owner_id")
    WHERE "is_default" AND "owner_id" IS NOT NULL AND "deleted_at" IS NULL;
CREATE UNIQUE INDEX "agents_one_shared_default_per_tenant" ON "agents" ("tenant_id")
    WHERE "is_default" AND "owner_id" IS NULL AND "deleted_at" IS NULL;
CREATE UNIQUE INDEX "agents_shared_name_per_tenant" ON "agents" ("tenant_id", "name")
    WHERE "owner_id" IS NULL AND "deleted_at" IS NULL;
CREATE UNIQUE INDEX "scenario_agents_one_root_per_scenario" ON "scenario_agents" ("scenario_id")
    WHERE "is_root";

-- The few rows that are looked for again and again, out of many that are not.
CREATE INDEX "runs_leases" ON "runs" ("lease_expires_at")
    WHERE "status" IN ('RUNNING', 'REQUIRES_ACTION');
CREATE INDEX "runs_queue" ON "runs" ("conversation_id", "number")
    WHERE "status" = 'QUEUED';
