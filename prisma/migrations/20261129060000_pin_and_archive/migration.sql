-- DropIndex
DROP INDEX "conversations_tenant_id_user_id_created_at_id_idx";

-- DropIndex
DROP INDEX "conversations_tenant_id_user_id_title_id_idx";

-- DropIndex
DROP INDEX "conversations_tenant_id_user_id_updated_at_id_idx";

-- AlterTable
ALTER TABLE "conversations" ADD COLUMN     "is_archived" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "is_pinned" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "users" ADD COLUMN     "archived_conversation_count" INTEGER NOT NULL DEFAULT 0;

-- CreateIndex
CREATE INDEX "conversations_tenant_id_user_id_is_archived_updated_at_id_idx" ON "conversations"("tenant_id", "user_id", "is_archived", "updated_at", "id");

-- CreateIndex
CREATE INDEX "conversations_tenant_id_user_id_is_archived_created_at_id_idx" ON "conversations"("tenant_id", "user_id", "is_archived", "created_at", "id");

-- CreateIndex
CREATE INDEX "conversations_tenant_id_user_id_is_archived_title_id_idx" ON "conversations"("tenant_id", "user_id", "is_archived", "title", "id");


-- The conversations of a project, as before.
DROP INDEX "conversations_of_project";
CREATE INDEX "conversations_of_project"
    ON "conversations" ("tenant_id", "user_id", "project_id", "is_archived", "updated_at", "id")
    WHERE "project_id" IS NOT NULL;

-- The pinned ones, in each order. Conversations that are not pinned have no entry.
CREATE INDEX "conversations_pinned_by_updated_at" ON "conversations" ("tenant_id", "user_id", "is_archived", "updated_at", "id")
    WHERE "is_pinned";
CREATE INDEX "conversations_pinned_by_created_at" ON "conversations" ("tenant_id", "user_id", "is_archived", "created_at", "id")
    WHERE "is_pinned";
CREATE INDEX "conversations_pinned_by_title" ON "conversations" ("tenant_id", "user_id", "is_archived", "title", "id")
    WHERE "is_pinned";

-- How many conversations of a user are archived: counted where it changes, and never for other conversations.
CREATE FUNCTION count_archived_conversations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE users SET archived_conversation_count = archived_conversation_count - 1
            WHERE tenant_id = OLD.tenant_id AND id = OLD.user_id;
    ELSE
        UPDATE users SET archived_conversation_count = archived_conversation_count + CASE WHEN NEW.is_archived THEN 1 ELSE -1 END
            WHERE tenant_id = NEW.tenant_id AND id = NEW.user_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER "conversations_count_archived" AFTER UPDATE OF "is_archived" ON "conversations"
    FOR EACH ROW WHEN (OLD.is_archived <> NEW.is_archived) EXECUTE FUNCTION count_archived_conversations();
CREATE TRIGGER "conversations_count_created_archived" AFTER INSERT ON "conversations"
    FOR EACH ROW WHEN (NEW.is_archived) EXECUTE FUNCTION count_archived_conversations();
CREATE TRIGGER "conversations_count_deleted_archived" AFTER DELETE ON "conversations"
    FOR EACH ROW WHEN (OLD.is_archived) EXECUTE FUNCTION count_archived_conversations();

-- Readers of the feed are told, unless the same change is announced for its other columns.
CREATE FUNCTION feed_shelf_of_conversation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM append_feed_event(NEW.tenant_id, NEW.user_id, 'ConversationUpdated', NEW.id);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER "conversations_feed_shelf" AFTER UPDATE OF "is_archived", "is_pinned" ON "conversations"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.is_archived, OLD.is_pinned) IS DISTINCT FROM (NEW.is_archived, NEW.is_pinned)
        AND (OLD.title, OLD.scenario_id, OLD.contact_id) IS NOT DISTINCT FROM (NEW.title, NEW.scenario_id, NEW.contact_id))
    EXECUTE FUNCTION feed_shelf_of_conversation();
