-- Whether the user who created a ticket is the person of whom it is. It is stored, because conversations are deleted and
-- contacts are changed, and internal comments stay hidden from that person all the same.
ALTER TABLE "tickets" ADD COLUMN     "creator_is_contact" BOOLEAN NOT NULL DEFAULT true;

-- Somebody created it for somebody else. (What triggers watch does not change: nothing is told of it.)
UPDATE "tickets" SET "creator_is_contact" = false
WHERE "conversation_id" IS NULL AND "created_by_agent_id" IS NULL AND "contact_id" IS NOT NULL;
