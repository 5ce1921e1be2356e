-- Those with the status serve what these did. By themselves, because each locks the table for reads, too: for a moment. Behind
-- the builds, in one transaction, they could wait for turns that wait for the builds.
DROP INDEX IF EXISTS "runs_tenant_id_agent_id_created_at_id_idx";
DROP INDEX IF EXISTS "runs_tenant_id_user_id_created_at_id_idx";
