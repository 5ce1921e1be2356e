-- AlterTable
ALTER TABLE "handoffs" ADD COLUMN     "seq" INTEGER NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "messages" ALTER COLUMN "position" DROP NOT NULL;

-- AlterTable
ALTER TABLE "runs" ADD COLUMN     "queued_position" INTEGER;

-- AlterTable
ALTER TABLE "tool_calls" ADD COLUMN     "approval_expires_at" TIMESTAMPTZ(3);

-- The seq of the handoffs of runs that have ended or wait: the n-th handoff of a run is the n-th of its archive.
UPDATE "handoffs" SET "seq" = reported.seq
FROM (
  SELECT id, run_id, row_number() OVER (PARTITION BY run_id ORDER BY step) AS n FROM "handoffs"
) AS handoff
JOIN (
  SELECT run_id, (entry ->> 'seq')::int AS seq,
    row_number() OVER (PARTITION BY run_id ORDER BY (entry ->> 'seq')::int) AS n
  FROM "run_archives", regexp_split_to_table(events, E'\n') AS line, json_array_elements(line::json) AS entry
  WHERE events LIKE '%HandoffOccurred%' AND entry ->> 'type' = 'HandoffOccurred'
) AS reported ON reported.run_id = handoff.run_id AND reported.n = handoff.n
WHERE "handoffs".id = handoff.id;

UPDATE "tool_calls" SET "approval_expires_at" = runs.action_expires_at
FROM "runs" WHERE runs.id = tool_calls.run_id AND tool_calls.status = 'AWAITING_APPROVAL';

-- The messages of queued turns, which are few, and the runs that wait for a decision of their user.
CREATE INDEX "messages_queued" ON "messages" ("conversation_id") WHERE "position" IS NULL;
CREATE INDEX "runs_user_waiting" ON "runs" ("tenant_id", "user_id") WHERE "status" = 'REQUIRES_ACTION';

-- The message of a queued turn is added to the list when it takes its position.
DROP TRIGGER "messages_feed" ON "messages";
DROP TRIGGER "messages_feed_update" ON "messages";
CREATE CONSTRAINT TRIGGER "messages_feed" AFTER INSERT ON "messages"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.status <> 'STREAMING' AND NEW.position IS NOT NULL) EXECUTE FUNCTION feed_message();
CREATE CONSTRAINT TRIGGER "messages_feed_update" AFTER UPDATE OF "status", "position" ON "messages"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.status = 'STREAMING' AND NEW.status <> 'STREAMING') OR (OLD.position IS NULL AND NEW.position IS NOT NULL))
    EXECUTE FUNCTION feed_message();
