-- What was written in this transaction before has its events before its tables change.
SET CONSTRAINTS ALL IMMEDIATE;

-- DropIndex
DROP INDEX "messages_run_id_position_idx";

-- DropIndex
DROP INDEX "runs_conversation_id_user_message_id_key";

-- DropIndex
DROP INDEX "runs_user_message_id_key";

-- AlterTable
ALTER TABLE "conversations" ADD COLUMN     "branch_changes" INTEGER NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "messages" ADD COLUMN     "is_active" BOOLEAN NOT NULL DEFAULT true,
ADD COLUMN     "number" INTEGER,
ADD COLUMN     "parent_id" UUID;

-- AlterTable
ALTER TABLE "runs" ADD COLUMN     "is_current" BOOLEAN NOT NULL DEFAULT true;

-- The messages that are there are one branch: each follows the one before it.
UPDATE "messages" SET "number" = "messages"."position", "parent_id" = previous.id
FROM (
  SELECT id, lag(id) OVER (PARTITION BY conversation_id ORDER BY position) AS parent_id
  FROM "messages" WHERE position IS NOT NULL
) AS placed
LEFT JOIN "messages" AS previous ON previous.id = placed.parent_id
WHERE "messages"."id" = placed.id;

-- CreateIndex
CREATE INDEX "messages_conversation_id_parent_id_idx" ON "messages"("conversation_id", "parent_id");

-- CreateIndex
CREATE INDEX "messages_run_id_number_idx" ON "messages"("run_id", "number");

-- CreateIndex
CREATE UNIQUE INDEX "messages_conversation_id_number_key" ON "messages"("conversation_id", "number");

-- CreateIndex
CREATE INDEX "runs_conversation_id_user_message_id_idx" ON "runs"("conversation_id", "user_message_id");

-- AddForeignKey
ALTER TABLE "messages" ADD CONSTRAINT "messages_conversation_id_parent_id_fkey" FOREIGN KEY ("conversation_id", "parent_id") REFERENCES "messages"("conversation_id", "id") ON DELETE NO ACTION ON UPDATE CASCADE;

-- What is in another branch has no position in the active one.
ALTER TABLE "messages"
    ADD CONSTRAINT "messages_number_positive" CHECK ("number" > 0),
    ADD CONSTRAINT "messages_position_active" CHECK ("is_active" OR "position" IS NULL),
    ADD CONSTRAINT "messages_parent_other" CHECK ("parent_id" <> "id");

-- The messages of queued turns, without those of other branches.
DROP INDEX "messages_queued";
CREATE INDEX "messages_queued" ON "messages" ("conversation_id") WHERE "position" IS NULL AND "is_active";

-- A message follows the one before it in the active branch, at the moment when it is listed. Nobody else says what follows
-- what, so that there are no cycles. Whoever lists a message has locked the row of its conversation, and this function sees
-- what was committed before that, also where the statement that has waited for the lock does not.
CREATE FUNCTION place_in_tree() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.position IS NOT NULL THEN
        NEW.parent_id := (SELECT id FROM messages
            WHERE conversation_id = NEW.conversation_id AND position = NEW.position - 1
                -- A statement that is sent again can find the row that it has written itself.
                AND id <> NEW.id);
    END IF;
    NEW.number := 1 + coalesce((SELECT max(number) FROM messages WHERE conversation_id = NEW.conversation_id), 0);
    RETURN NEW;
END $$;
CREATE TRIGGER "messages_tree" BEFORE INSERT ON "messages"
    FOR EACH ROW WHEN (NEW.position IS NOT NULL) EXECUTE FUNCTION place_in_tree();
CREATE TRIGGER "messages_tree_update" BEFORE UPDATE OF "position", "is_active" ON "messages"
    FOR EACH ROW WHEN (OLD.number IS NULL AND (NEW.position IS NOT NULL OR NOT NEW.is_active))
    EXECUTE FUNCTION place_in_tree();

-- The agent with which a run began.
CREATE FUNCTION first_agent_of(run UUID) RETURNS UUID LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT from_agent_id FROM handoffs WHERE run_id = runs.id ORDER BY step, seq LIMIT 1), agent_id)
    FROM runs WHERE id = run;
$$;

-- The agent that was the active one at the end of a branch. At a message of the user, it is the one that began to answer it; else
-- that of the last run that wrote in the branch or, at the beginning, the one with which the first run of the conversation
-- began. Null: nobody knows.
CREATE FUNCTION agent_of_branch(conversation UUID, leaf UUID) RETURNS UUID LANGUAGE sql STABLE AS $$
    WITH RECURSIVE said AS (
        SELECT m.parent_id, coalesce(r.agent_id, m.agent_id) AS agent_id
        FROM messages AS m LEFT JOIN runs AS r ON r.id = m.run_id
        WHERE m.conversation_id = conversation AND m.id = leaf
        UNION ALL
        SELECT m.parent_id, coalesce(r.agent_id, m.agent_id)
        FROM said JOIN messages AS m ON m.conversation_id = conversation AND m.id = said.parent_id
        LEFT JOIN runs AS r ON r.id = m.run_id
        WHERE said.agent_id IS NULL
    )
    SELECT coalesce(
        (SELECT first_agent_of(id) FROM runs
            WHERE conversation_id = conversation AND user_message_id = leaf AND is_current ORDER BY number DESC LIMIT 1),
        (SELECT agent_id FROM said WHERE agent_id IS NOT NULL),
        (SELECT first_agent_of(id) FROM runs WHERE conversation_id = conversation ORDER BY number LIMIT 1)
    );
$$;

-- A message of another branch that becomes active is not added again: readers are told that the conversation has changed.
DROP TRIGGER "messages_feed_update" ON "messages";
CREATE CONSTRAINT TRIGGER "messages_feed_update" AFTER UPDATE OF "status", "position" ON "messages"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.status = 'STREAMING' AND NEW.status <> 'STREAMING')
        OR (OLD.position IS NULL AND NEW.position IS NOT NULL AND OLD.is_active))
    EXECUTE FUNCTION feed_message();
CREATE FUNCTION feed_branch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM append_feed_event(NEW.tenant_id, NEW.user_id, 'ConversationUpdated', NEW.id);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER "conversations_feed_branch" AFTER UPDATE OF "branch_changes" ON "conversations"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.branch_changes <> NEW.branch_changes)
    EXECUTE FUNCTION feed_branch();
