-- CreateEnum
CREATE TYPE "HttpMethod" AS ENUM ('GET', 'POST', 'PUT', 'PATCH', 'DELETE');

-- DropIndex
DROP INDEX "scenarios_tenant_id_key_key";

-- AlterTable
ALTER TABLE "agents" ADD COLUMN     "is_development" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "conversations" ADD COLUMN     "follows_default" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "runs" ADD COLUMN     "action_expires_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "scenarios" ADD COLUMN     "loaded_with" TEXT,
ADD COLUMN     "project_id" TEXT;

-- AlterTable
ALTER TABLE "tool_calls" ADD COLUMN     "decided_by" TEXT,
ADD COLUMN     "edited_arguments" TEXT;

-- CreateTable
CREATE TABLE "secrets" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "agent_id" UUID,
    "tool_id" UUID,
    "mcp_server_id" UUID,
    "name" TEXT NOT NULL,
    "origin" TEXT NOT NULL,
    "hint" TEXT NOT NULL,
    "kid" TEXT NOT NULL,
    "sealed" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "secrets_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "http_tools" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT NOT NULL,
    "parameters" JSONB NOT NULL,
    "method" "HttpMethod" NOT NULL,
    "url" TEXT NOT NULL,
    "headers" JSONB NOT NULL DEFAULT '{}',
    "timeout_ms" INTEGER NOT NULL DEFAULT 10000,
    "max_result_length" INTEGER NOT NULL DEFAULT 20000,
    "requires_approval" BOOLEAN NOT NULL DEFAULT false,
    "required_roles" TEXT[],
    "is_active" BOOLEAN NOT NULL DEFAULT true,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "http_tools_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "mcp_servers" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "headers" JSONB NOT NULL DEFAULT '{}',
    "timeout_ms" INTEGER NOT NULL DEFAULT 30000,
    "max_result_length" INTEGER NOT NULL DEFAULT 20000,
    "requires_approval" BOOLEAN NOT NULL DEFAULT false,
    "required_roles" TEXT[],
    "is_active" BOOLEAN NOT NULL DEFAULT true,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "mcp_servers_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "speech_clips" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "media_type" TEXT NOT NULL,
    "size" INTEGER NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "speech_clips_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "speech_chunks" (
    "clip_id" UUID NOT NULL,
    "position" INTEGER NOT NULL,
    "data" BYTEA NOT NULL,

    CONSTRAINT "speech_chunks_pkey" PRIMARY KEY ("clip_id","position")
);

-- CreateTable
CREATE TABLE "run_pauses" (
    "run_id" UUID NOT NULL,
    "state" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "run_pauses_pkey" PRIMARY KEY ("run_id")
);

-- CreateIndex
CREATE INDEX "secrets_tenant_id_idx" ON "secrets"("tenant_id");

-- CreateIndex
CREATE INDEX "secrets_kid_id_idx" ON "secrets"("kid", "id");

-- CreateIndex
CREATE UNIQUE INDEX "secrets_agent_id_name_key" ON "secrets"("agent_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "secrets_tool_id_name_key" ON "secrets"("tool_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "secrets_mcp_server_id_name_key" ON "secrets"("mcp_server_id", "name");

-- CreateIndex
CREATE INDEX "http_tools_tenant_id_created_at_id_idx" ON "http_tools"("tenant_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "http_tools_tenant_id_id_key" ON "http_tools"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "http_tools_tenant_id_name_key" ON "http_tools"("tenant_id", "name");

-- CreateIndex
CREATE INDEX "mcp_servers_tenant_id_created_at_id_idx" ON "mcp_servers"("tenant_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "mcp_servers_tenant_id_id_key" ON "mcp_servers"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "mcp_servers_tenant_id_name_key" ON "mcp_servers"("tenant_id", "name");

-- CreateIndex
CREATE INDEX "speech_clips_tenant_id_user_id_idx" ON "speech_clips"("tenant_id", "user_id");

-- CreateIndex
CREATE INDEX "speech_clips_expires_at_idx" ON "speech_clips"("expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "scenarios_tenant_id_project_id_key_key" ON "scenarios"("tenant_id", "project_id", "key");

-- AddForeignKey
ALTER TABLE "secrets" ADD CONSTRAINT "secrets_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "secrets" ADD CONSTRAINT "secrets_tenant_id_agent_id_fkey" FOREIGN KEY ("tenant_id", "agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "secrets" ADD CONSTRAINT "secrets_tenant_id_tool_id_fkey" FOREIGN KEY ("tenant_id", "tool_id") REFERENCES "http_tools"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "secrets" ADD CONSTRAINT "secrets_tenant_id_mcp_server_id_fkey" FOREIGN KEY ("tenant_id", "mcp_server_id") REFERENCES "mcp_servers"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "http_tools" ADD CONSTRAINT "http_tools_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "mcp_servers" ADD CONSTRAINT "mcp_servers_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "speech_clips" ADD CONSTRAINT "speech_clips_tenant_id_user_id_fkey" FOREIGN KEY ("tenant_id", "user_id") REFERENCES "users"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "speech_chunks" ADD CONSTRAINT "speech_chunks_clip_id_fkey" FOREIGN KEY ("clip_id") REFERENCES "speech_clips"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "run_pauses" ADD CONSTRAINT "run_pauses_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;


-- By hand from here: what schema.prisma cannot express.

-- Ranges and lengths.
ALTER TABLE "secrets"
    ADD CONSTRAINT "secrets_one_owner" CHECK (num_nonnulls("agent_id", "tool_id", "mcp_server_id") = 1),
    ADD CONSTRAINT "secrets_hint_length" CHECK (char_length("hint") <= 4);
ALTER TABLE "http_tools"
    ADD CONSTRAINT "http_tools_name_form" CHECK ("name" ~ '^[A-Za-z0-9_-]{1,64}$'),
    ADD CONSTRAINT "http_tools_timeout_range" CHECK ("timeout_ms" BETWEEN 1 AND 600000),
    ADD CONSTRAINT "http_tools_max_result_length_range" CHECK ("max_result_length" BETWEEN 1 AND 1000000);
ALTER TABLE "mcp_servers"
    ADD CONSTRAINT "mcp_servers_name_form" CHECK ("name" ~ '^[A-Za-z0-9-]{1,32}$'),
    ADD CONSTRAINT "mcp_servers_timeout_range" CHECK ("timeout_ms" BETWEEN 1 AND 600000),
    ADD CONSTRAINT "mcp_servers_max_result_length_range" CHECK ("max_result_length" BETWEEN 1 AND 1000000);
ALTER TABLE "speech_clips"
    ADD CONSTRAINT "speech_clips_size_positive" CHECK ("size" > 0);
ALTER TABLE "speech_chunks"
    ADD CONSTRAINT "speech_chunks_position_not_negative" CHECK ("position" >= 0);
ALTER TABLE "scenarios"
    ADD CONSTRAINT "scenarios_project_id_length" CHECK (char_length("project_id") BETWEEN 1 AND 255);
-- A run that waits for a person is nobody's, and knows how long it waits.
ALTER TABLE "runs"
    ADD CONSTRAINT "runs_waiting_has_an_end" CHECK ("status" <> 'REQUIRES_ACTION' OR "action_expires_at" IS NOT NULL);

-- One of a kind.
CREATE UNIQUE INDEX "agents_one_development_agent_per_tenant" ON "agents" ("tenant_id")
    WHERE "is_development" AND "deleted_at" IS NULL;
CREATE UNIQUE INDEX "scenarios_key_of_all_projects" ON "scenarios" ("tenant_id", "key")
    WHERE "project_id" IS NULL;

-- The few rows that are looked for again and again, out of many that are not.
CREATE INDEX "runs_waiting" ON "runs" ("action_expires_at")
    WHERE "status" = 'REQUIRES_ACTION';

-- Whoever changes what turns are compiled from, by whatever way, tells every instance: each drops what it remembers of
-- the tenant (src/database/changes.ts). Equal notices of one transaction are sent once.
CREATE FUNCTION notify_of_configuration() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE' THEN PERFORM pg_notify('switchboard_configuration', NEW.tenant_id); END IF;
    IF TG_OP <> 'INSERT' THEN PERFORM pg_notify('switchboard_configuration', OLD.tenant_id); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER "agents_notify" AFTER INSERT OR UPDATE OR DELETE ON "agents"
    FOR EACH ROW EXECUTE FUNCTION notify_of_configuration();
CREATE TRIGGER "secrets_notify" AFTER INSERT OR UPDATE OR DELETE ON "secrets"
    FOR EACH ROW EXECUTE FUNCTION notify_of_configuration();
CREATE TRIGGER "scenarios_notify" AFTER INSERT OR UPDATE OR DELETE ON "scenarios"
    FOR EACH ROW EXECUTE FUNCTION notify_of_configuration();
CREATE TRIGGER "scenario_agents_notify" AFTER INSERT OR UPDATE OR DELETE ON "scenario_agents"
    FOR EACH ROW EXECUTE FUNCTION notify_of_configuration();
CREATE TRIGGER "http_tools_notify" AFTER INSERT OR UPDATE OR DELETE ON "http_tools"
    FOR EACH ROW EXECUTE FUNCTION notify_of_configuration();
CREATE TRIGGER "mcp_servers_notify" AFTER INSERT OR UPDATE OR DELETE ON "mcp_servers"
    FOR EACH ROW EXECUTE FUNCTION notify_of_configuration();

CREATE FUNCTION notify_of_handoff_edge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('switchboard_configuration', tenant_id) FROM scenarios
        WHERE id = (CASE WHEN TG_OP = 'DELETE' THEN OLD.scenario_id ELSE NEW.scenario_id END);
    RETURN NULL;
END $$;
CREATE TRIGGER "handoff_edges_notify" AFTER INSERT OR UPDATE OR DELETE ON "handoff_edges"
    FOR EACH ROW EXECUTE FUNCTION notify_of_handoff_edge();
