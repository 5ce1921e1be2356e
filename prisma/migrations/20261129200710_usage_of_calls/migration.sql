-- By itself: a transaction that held `runs` as well would wait in a circle with turns that write both.
CREATE INDEX IF NOT EXISTS "model_calls_tenant_id_created_at_idx" ON "model_calls"("tenant_id", "created_at");
