-- DropIndex
DROP INDEX "runs_tenant_id_agent_id_idx";

-- CreateIndex
CREATE INDEX "runs_tenant_id_created_at_id_idx" ON "runs"("tenant_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "runs_tenant_id_status_created_at_id_idx" ON "runs"("tenant_id", "status", "created_at", "id");

-- CreateIndex
CREATE INDEX "runs_tenant_id_agent_id_created_at_id_idx" ON "runs"("tenant_id", "agent_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "runs_tenant_id_user_id_created_at_id_idx" ON "runs"("tenant_id", "user_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "model_calls_tenant_id_created_at_idx" ON "model_calls"("tenant_id", "created_at");
