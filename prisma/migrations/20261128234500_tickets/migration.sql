-- The triggers of the feed are deferred; tables are not altered while they wait.
SET CONSTRAINTS ALL IMMEDIATE;

-- CreateEnum
CREATE TYPE "TicketStatus" AS ENUM ('OPEN', 'PENDING', 'SOLVED', 'CLOSED');

-- CreateEnum
CREATE TYPE "TicketPriority" AS ENUM ('LOW', 'NORMAL', 'HIGH', 'URGENT');

-- CreateEnum
CREATE TYPE "TicketEventType" AS ENUM ('TicketCreated', 'TicketUpdated', 'TicketCommented');

-- AlterTable
ALTER TABLE "tenants" ADD COLUMN     "expired_ticket_event_seq" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "ticket_count" INTEGER NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "webhook_deliveries" ADD COLUMN     "ticket_id" UUID;

-- CreateTable
CREATE TABLE "tickets" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "project_id" UUID,
    "number" INTEGER NOT NULL,
    "subject" TEXT NOT NULL,
    "body" TEXT NOT NULL,
    "status" "TicketStatus" NOT NULL DEFAULT 'OPEN',
    "priority" "TicketPriority" NOT NULL DEFAULT 'NORMAL',
    "category" TEXT,
    "contact_id" UUID,
    "conversation_id" UUID,
    "assignee" TEXT,
    "created_by" TEXT NOT NULL,
    "created_by_agent_id" UUID,
    "creation_key" TEXT,
    "creation_hash" TEXT,
    "comment_count" INTEGER NOT NULL DEFAULT 0,
    "change_count" INTEGER NOT NULL DEFAULT 0,
    "bytes" INTEGER NOT NULL GENERATED ALWAYS AS (octet_length("subject") + octet_length("body")) STORED,
    "tsv" tsvector GENERATED ALWAYS AS (
        to_tsvector('simple', "number"::text || ' ' || "subject" || ' ' || "body")
    ) STORED,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "tickets_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ticket_comments" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "ticket_id" UUID NOT NULL,
    "body" TEXT NOT NULL,
    "is_internal" BOOLEAN NOT NULL,
    "author" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "ticket_comments_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ticket_changes" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "ticket_id" UUID NOT NULL,
    "field" TEXT NOT NULL,
    "value_before" TEXT,
    "value_after" TEXT,
    "changed_by" TEXT NOT NULL,
    "changed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "ticket_changes_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ticket_events" (
    "tenant_id" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "type" "TicketEventType" NOT NULL,
    "ticket_id" UUID NOT NULL,
    "comment_id" UUID,

    CONSTRAINT "ticket_events_pkey" PRIMARY KEY ("tenant_id","seq")
);

-- CreateIndex
CREATE INDEX "tickets_tenant_id_created_at_id_idx" ON "tickets"("tenant_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "tickets_tenant_id_updated_at_id_idx" ON "tickets"("tenant_id", "updated_at", "id");

-- CreateIndex
CREATE INDEX "tickets_tenant_id_priority_id_idx" ON "tickets"("tenant_id", "priority", "id");

-- CreateIndex
CREATE INDEX "tickets_tenant_id_project_id_updated_at_id_idx" ON "tickets"("tenant_id", "project_id", "updated_at", "id");

-- CreateIndex
CREATE INDEX "tickets_tenant_id_contact_id_created_at_id_idx" ON "tickets"("tenant_id", "contact_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "tickets_tenant_id_conversation_id_idx" ON "tickets"("tenant_id", "conversation_id");

-- CreateIndex
CREATE INDEX "tickets_tenant_id_created_by_agent_id_idx" ON "tickets"("tenant_id", "created_by_agent_id");

-- CreateIndex
CREATE INDEX "tickets_tsv_idx" ON "tickets" USING GIN ("tsv");

-- CreateIndex
CREATE UNIQUE INDEX "tickets_tenant_id_id_key" ON "tickets"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "tickets_tenant_id_number_key" ON "tickets"("tenant_id", "number");

-- CreateIndex
CREATE UNIQUE INDEX "tickets_tenant_id_created_by_creation_key_key" ON "tickets"("tenant_id", "created_by", "creation_key");

-- CreateIndex
CREATE INDEX "ticket_comments_tenant_id_ticket_id_created_at_id_idx" ON "ticket_comments"("tenant_id", "ticket_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "ticket_comments_tenant_id_id_key" ON "ticket_comments"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "ticket_changes_tenant_id_ticket_id_changed_at_id_idx" ON "ticket_changes"("tenant_id", "ticket_id", "changed_at", "id");

-- CreateIndex
CREATE INDEX "ticket_events_at_idx" ON "ticket_events"("at");

-- CreateIndex
CREATE INDEX "webhook_deliveries_tenant_id_ticket_id_idx" ON "webhook_deliveries"("tenant_id", "ticket_id");

-- AddForeignKey
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_tenant_id_ticket_id_fkey" FOREIGN KEY ("tenant_id", "ticket_id") REFERENCES "tickets"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tickets" ADD CONSTRAINT "tickets_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tickets" ADD CONSTRAINT "tickets_tenant_id_project_id_fkey" FOREIGN KEY ("tenant_id", "project_id") REFERENCES "projects"("tenant_id", "id") ON DELETE NO ACTION ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tickets" ADD CONSTRAINT "tickets_tenant_id_contact_id_fkey" FOREIGN KEY ("tenant_id", "contact_id") REFERENCES "contacts"("tenant_id", "id") ON DELETE NO ACTION ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tickets" ADD CONSTRAINT "tickets_tenant_id_conversation_id_fkey" FOREIGN KEY ("tenant_id", "conversation_id") REFERENCES "conversations"("tenant_id", "id") ON DELETE NO ACTION ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tickets" ADD CONSTRAINT "tickets_tenant_id_created_by_agent_id_fkey" FOREIGN KEY ("tenant_id", "created_by_agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ticket_comments" ADD CONSTRAINT "ticket_comments_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ticket_comments" ADD CONSTRAINT "ticket_comments_tenant_id_ticket_id_fkey" FOREIGN KEY ("tenant_id", "ticket_id") REFERENCES "tickets"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ticket_changes" ADD CONSTRAINT "ticket_changes_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ticket_changes" ADD CONSTRAINT "ticket_changes_tenant_id_ticket_id_fkey" FOREIGN KEY ("tenant_id", "ticket_id") REFERENCES "tickets"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "ticket_events" ADD CONSTRAINT "ticket_events_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- The bounds of tickets/input.ts: no row is larger, whoever writes it.
ALTER TABLE "tickets"
    ADD CONSTRAINT "tickets_subject" CHECK (char_length("subject") BETWEEN 1 AND 300),
    ADD CONSTRAINT "tickets_body" CHECK (char_length("body") BETWEEN 1 AND 20000),
    ADD CONSTRAINT "tickets_category" CHECK (char_length("category") BETWEEN 1 AND 100),
    ADD CONSTRAINT "tickets_assignee" CHECK (char_length("assignee") BETWEEN 1 AND 255),
    ADD CONSTRAINT "tickets_creation" CHECK (("creation_key" IS NULL) = ("creation_hash" IS NULL)),
    ADD CONSTRAINT "tickets_comment_count" CHECK ("comment_count" BETWEEN 0 AND 1000);
ALTER TABLE "ticket_comments" ADD CONSTRAINT "ticket_comments_body" CHECK (char_length("body") BETWEEN 1 AND 20000);

-- A contact that was merged is followed to the one into which it was merged (see the migration of contacts).
CREATE TRIGGER "tickets_follow_merged_contact" BEFORE INSERT OR UPDATE OF "contact_id" ON "tickets"
    FOR EACH ROW WHEN (NEW.contact_id IS NOT NULL) EXECUTE FUNCTION follow_merged_contact();

-- A ticket outlives its conversation. (ON DELETE SET NULL would take the tenant too.)
CREATE FUNCTION release_tickets_of_conversation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tickets SET conversation_id = NULL WHERE tenant_id = OLD.tenant_id AND conversation_id = OLD.id;
    RETURN OLD;
END $$;
CREATE TRIGGER "conversations_release_tickets" BEFORE DELETE ON "conversations"
    FOR EACH ROW EXECUTE FUNCTION release_tickets_of_conversation();

-- CLOSED is the end, whoever writes.
CREATE FUNCTION keep_ticket_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ticket % is closed', OLD.id USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER "tickets_closed" BEFORE UPDATE OF "status" ON "tickets"
    FOR EACH ROW WHEN (OLD.status = 'CLOSED' AND NEW.status <> 'CLOSED') EXECUTE FUNCTION keep_ticket_closed();

-- The events of tickets are written as the feed of conversations is (see its migration): by triggers that are deferred to the
-- commit, so that the lock under which a tenant's events are numbered is the last one that a transaction takes.
CREATE FUNCTION append_ticket_event(tenant TEXT, kind "TicketEventType", ticket UUID, comment UUID DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    next_seq INTEGER;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(tenant, 7));
    -- A statement of its own: it sees what was committed while this transaction waited for the lock.
    INSERT INTO ticket_events (tenant_id, seq, at, type, ticket_id, comment_id)
    SELECT tenant, 1 + greatest(tenants.expired_ticket_event_seq, (
            SELECT seq FROM ticket_events WHERE tenant_id = tenant ORDER BY seq DESC LIMIT 1)),
        clock_timestamp(), kind, ticket, comment
    -- No row if the tenant is deleted in the same transaction.
    FROM tenants WHERE id = tenant
    RETURNING seq INTO next_seq;
    -- The last 5,000 are kept, some at a time are deleted.
    IF next_seq % 500 = 0 THEN
        DELETE FROM ticket_events WHERE tenant_id = tenant AND seq BETWEEN next_seq - 5499 AND next_seq - 5000;
    END IF;
END $$;

CREATE FUNCTION feed_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM append_ticket_event(NEW.tenant_id,
        CASE TG_OP WHEN 'INSERT' THEN 'TicketCreated' ELSE 'TicketUpdated' END::"TicketEventType", NEW.id);
    RETURN NULL;
END $$;
CREATE FUNCTION feed_ticket_comment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM append_ticket_event(NEW.tenant_id, 'TicketCommented', NEW.ticket_id, NEW.id);
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER "tickets_feed" AFTER INSERT ON "tickets"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION feed_ticket();
CREATE CONSTRAINT TRIGGER "tickets_feed_update" AFTER UPDATE ON "tickets"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.subject, OLD.status, OLD.priority, OLD.category, OLD.assignee, OLD.contact_id, OLD.conversation_id)
        IS DISTINCT FROM (NEW.subject, NEW.status, NEW.priority, NEW.category, NEW.assignee, NEW.contact_id, NEW.conversation_id))
    EXECUTE FUNCTION feed_ticket();
CREATE CONSTRAINT TRIGGER "ticket_comments_feed" AFTER INSERT ON "ticket_comments"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION feed_ticket_comment();

-- Deliveries know their ticket: whoever deletes it deletes its copies.
DROP FUNCTION append_webhook_deliveries(TEXT, "WebhookEvent", JSONB);
CREATE FUNCTION append_webhook_deliveries(tenant TEXT, kind "WebhookEvent", contents JSONB, ticket UUID DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO webhook_deliveries
        (tenant_id, webhook_id, event, ticket_id, body, next_attempt_at, given_up_at, created_at)
    SELECT tenant, told.id, kind, ticket, contents, clock_timestamp(), clock_timestamp() + interval '26 hours', clock_timestamp()
    FROM (
        SELECT id FROM webhooks WHERE tenant_id = tenant AND is_active AND kind = ANY (events) FOR KEY SHARE
    ) AS told
$$;
