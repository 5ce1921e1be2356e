-- Each build lets nobody write into its table meanwhile. With many rows, create the indexes beforehand, without a transaction
-- and CONCURRENTLY: what is there already is left alone.
CREATE INDEX IF NOT EXISTS "runs_tenant_id_agent_id_status_created_at_id_idx" ON "runs"("tenant_id", "agent_id", "status", "created_at", "id");
CREATE INDEX IF NOT EXISTS "runs_tenant_id_user_id_status_created_at_id_idx" ON "runs"("tenant_id", "user_id", "status", "created_at", "id");
