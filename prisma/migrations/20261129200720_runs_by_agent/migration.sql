-- The index with the times serves what it served. At last and by itself, because it locks the table for reads, too: for a moment.
DROP INDEX IF EXISTS "runs_tenant_id_agent_id_idx";
