-- CreateTable
CREATE TABLE "scenario_versions" (
    "tenant_id" TEXT NOT NULL,
    "scenario_id" UUID NOT NULL,
    "version" INTEGER NOT NULL,
    "snapshot" JSONB NOT NULL,
    "bytes" INTEGER NOT NULL,
    "changed_by" TEXT,
    "restored_from" INTEGER,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "scenario_versions_pkey" PRIMARY KEY ("scenario_id","version")
);

-- AddForeignKey
ALTER TABLE "scenario_versions" ADD CONSTRAINT "scenario_versions_tenant_id_scenario_id_fkey" FOREIGN KEY ("tenant_id", "scenario_id") REFERENCES "scenarios"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

ALTER TABLE "scenario_versions"
  ADD CONSTRAINT "scenario_versions_version_check" CHECK ("version" >= 1),
  ADD CONSTRAINT "scenario_versions_restored_from_check" CHECK ("restored_from" BETWEEN 1 AND "version" - 1),
  ADD CONSTRAINT "scenario_versions_bytes_check" CHECK ("bytes" >= 1);

-- Scenarios that exist begin their list with the version that they have. Who made it is not known.
INSERT INTO "scenario_versions" ("tenant_id", "scenario_id", "version", "snapshot", "bytes", "created_at")
SELECT "tenant_id", "id", "version", "snapshot", octet_length("snapshot"::text), "updated_at"
FROM (
  SELECT "tenant_id", "id", "version", "updated_at", jsonb_build_object(
    'key', "key", 'name', "name", 'description', "description", 'projectId', "project_id", 'isActive', "is_active",
    'guardrails', "guardrails",
    'orchestration', jsonb_build_object('mode', "orchestration_mode", 'classifierAgentId', "classifier_agent_id",
      'threshold', "orchestration_threshold", 'instructions', "orchestration_instructions"),
    'members', (
      SELECT coalesce(jsonb_agg(jsonb_build_object('agentId', a."agent_id", 'isRoot', a."is_root", 'handoffs', (
        SELECT coalesce(jsonb_agg(jsonb_build_object('toAgentId', e."to_agent_id", 'description', e."description")
          ORDER BY e."position", e."to_agent_id"), '[]'::jsonb)
        FROM "handoff_edges" AS e WHERE e."scenario_id" = a."scenario_id" AND e."from_agent_id" = a."agent_id"
      )) ORDER BY a."position", a."agent_id"), '[]'::jsonb)
      FROM "scenario_agents" AS a WHERE a."tenant_id" = s."tenant_id" AND a."scenario_id" = s."id"
    )
  ) AS "snapshot"
  FROM "scenarios" AS s
) AS "present";
