-- The projects that conversations and scenarios name become references. Deferred triggers of rows that a migration before this
-- one has changed would stand in the way of changing the tables.
SET CONSTRAINTS ALL IMMEDIATE;

-- A project of each name that a tenant has stored, under that name: clients go on to give it. Names that are not empty and
-- short enough are keys as they are; of a name that somebody wrote into a row with more than 255 characters, the beginning
-- and a hash are.
CREATE FUNCTION stored_project_key(name TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN char_length(name) <= 255 THEN nullif(name, '') ELSE left(name, 222) || '-' || md5(name) END
$$;

INSERT INTO "projects" ("id", "tenant_id", "key", "name", "created_at")
SELECT gen_random_uuid(), named."tenant_id", named."key", named."key", min(named."created_at")
FROM (
    SELECT "tenant_id", stored_project_key("project_id") AS "key", "created_at" FROM "conversations"
    UNION ALL
    SELECT "tenant_id", stored_project_key("project_id"), "created_at" FROM "scenarios"
) AS named
WHERE named."key" IS NOT NULL
GROUP BY named."tenant_id", named."key"
ON CONFLICT ("tenant_id", "key") DO NOTHING;

-- Its members are the users who have conversations in it. Who owns it, an admin of the tenant decides.
INSERT INTO "project_members" ("tenant_id", "project_id", "user_id", "role")
SELECT DISTINCT p."tenant_id", p."id", c."user_id", 'EDITOR'::"ProjectRole"
FROM "conversations" AS c
JOIN "projects" AS p ON p."tenant_id" = c."tenant_id" AND p."key" = stored_project_key(c."project_id")
ON CONFLICT ("project_id", "user_id") DO NOTHING;

-- The feed compares the column; nothing happens in the conversations now.
DROP TRIGGER "conversations_feed_update" ON "conversations";

ALTER TABLE "conversations" RENAME COLUMN "project_id" TO "project_name";
ALTER TABLE "conversations" ADD COLUMN "project_id" UUID;
UPDATE "conversations" AS c SET "project_id" = p."id" FROM "projects" AS p
WHERE c."project_name" IS NOT NULL AND p."tenant_id" = c."tenant_id" AND p."key" = stored_project_key(c."project_name");
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE "conversations" DROP COLUMN "project_name";

CREATE CONSTRAINT TRIGGER "conversations_feed_update" AFTER UPDATE ON "conversations"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.title, OLD.scenario_id, OLD.project_id, OLD.follows_default, OLD.active_agent_id)
        IS DISTINCT FROM (NEW.title, NEW.scenario_id, NEW.project_id, NEW.follows_default, NEW.active_agent_id))
    EXECUTE FUNCTION feed_conversation();

-- Its indexes and its CHECK go with the column of the scenarios.
ALTER TABLE "scenarios" RENAME COLUMN "project_id" TO "project_name";
ALTER TABLE "scenarios" ADD COLUMN "project_id" UUID;
UPDATE "scenarios" AS s SET "project_id" = p."id" FROM "projects" AS p
WHERE s."project_name" IS NOT NULL AND p."tenant_id" = s."tenant_id" AND p."key" = stored_project_key(s."project_name");
SET CONSTRAINTS ALL IMMEDIATE;
DROP INDEX "scenarios_key_of_all_projects";
ALTER TABLE "scenarios" DROP COLUMN "project_name";

DROP FUNCTION stored_project_key(TEXT);

-- AlterTable
ALTER TABLE "agents" ADD COLUMN     "project_id" UUID;

-- CreateIndex
CREATE UNIQUE INDEX "scenarios_tenant_id_project_id_key_key" ON "scenarios"("tenant_id", "project_id", "key");

-- CreateIndex
CREATE INDEX "agents_tenant_id_project_id_idx" ON "agents"("tenant_id", "project_id");

-- AddForeignKey
ALTER TABLE "conversations" ADD CONSTRAINT "conversations_tenant_id_project_id_fkey" FOREIGN KEY ("tenant_id", "project_id") REFERENCES "projects"("tenant_id", "id") ON DELETE NO ACTION ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "scenarios" ADD CONSTRAINT "scenarios_tenant_id_project_id_fkey" FOREIGN KEY ("tenant_id", "project_id") REFERENCES "projects"("tenant_id", "id") ON DELETE NO ACTION ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "agents" ADD CONSTRAINT "agents_tenant_id_project_id_fkey" FOREIGN KEY ("tenant_id", "project_id") REFERENCES "projects"("tenant_id", "id") ON DELETE NO ACTION ON UPDATE CASCADE;

CREATE UNIQUE INDEX "scenarios_key_of_all_projects" ON "scenarios" ("tenant_id", "key")
    WHERE "project_id" IS NULL;

-- The conversations of a project, in the order of most lists. Conversations without a project have no entry.
CREATE INDEX "conversations_of_project" ON "conversations" ("tenant_id", "user_id", "project_id", "updated_at", "id")
    WHERE "project_id" IS NOT NULL;

-- The agents of a project have names of their own, and belong to all its members.
DROP INDEX "agents_shared_name_per_tenant";
CREATE UNIQUE INDEX "agents_shared_name_per_tenant" ON "agents" ("tenant_id", "name")
    WHERE "owner_id" IS NULL AND "project_id" IS NULL AND "deleted_at" IS NULL;
CREATE UNIQUE INDEX "agents_name_per_project" ON "agents" ("tenant_id", "project_id", "name")
    WHERE "project_id" IS NOT NULL AND "deleted_at" IS NULL;
ALTER TABLE "agents" ADD CONSTRAINT "agents_of_project"
    CHECK ("project_id" IS NULL OR ("owner_id" IS NULL AND NOT "is_default" AND NOT "is_development"));
