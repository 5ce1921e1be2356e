-- CreateEnum
CREATE TYPE "FeedEventType" AS ENUM ('ConversationCreated', 'ConversationUpdated', 'ConversationDeleted', 'MessageAdded', 'RunChanged', 'AgentSwitched');

-- AlterTable
ALTER TABLE "users" ADD COLUMN     "expired_event_seq" INTEGER NOT NULL DEFAULT 0;

-- CreateTable
CREATE TABLE "feed_events" (
    "tenant_id" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "type" "FeedEventType" NOT NULL,
    "conversation_id" UUID NOT NULL,
    "message_id" UUID,
    "run_id" UUID,
    "handoff_id" UUID,
    "from_agent_id" UUID,
    "to_agent_id" UUID,

    CONSTRAINT "feed_events_pkey" PRIMARY KEY ("tenant_id","user_id","seq")
);

-- CreateIndex
CREATE INDEX "feed_events_at_idx" ON "feed_events"("at");

-- AddForeignKey
ALTER TABLE "feed_events" ADD CONSTRAINT "feed_events_tenant_id_user_id_fkey" FOREIGN KEY ("tenant_id", "user_id") REFERENCES "users"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- The feed is written by triggers: whoever changes a row, in whichever statement, the event is part of the same
-- transaction, and costs no statement of its own. The triggers are deferred to the commit: the lock under which the events
-- of a user are numbered is then the last one that a transaction takes. Transactions of one user wait for one another only
-- while they commit, never in a circle, and their numbers become visible in order and without gaps.
CREATE FUNCTION append_feed_event(
    tenant TEXT, owner TEXT, kind "FeedEventType", conversation UUID,
    message UUID DEFAULT NULL, run UUID DEFAULT NULL, handoff UUID DEFAULT NULL,
    from_agent UUID DEFAULT NULL, to_agent UUID DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    next_seq INTEGER;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(tenant, hashtextextended(owner, 0)));
    -- A statement of its own: it sees what was committed while this transaction waited for the lock.
    INSERT INTO feed_events (tenant_id, user_id, seq, at, type, conversation_id,
        message_id, run_id, handoff_id, from_agent_id, to_agent_id)
    SELECT tenant, owner, 1 + greatest(users.expired_event_seq, (
            SELECT seq FROM feed_events WHERE tenant_id = tenant AND user_id = owner ORDER BY seq DESC LIMIT 1)),
        clock_timestamp(), kind, conversation, message, run, handoff, from_agent, to_agent
    -- No row if the user is deleted in the same transaction.
    FROM users WHERE tenant_id = tenant AND id = owner
    RETURNING seq INTO next_seq;
    -- The last 1,000 are kept, some at a time are deleted.
    IF next_seq % 100 = 0 THEN
        DELETE FROM feed_events WHERE tenant_id = tenant AND user_id = owner
            AND seq BETWEEN next_seq - 1099 AND next_seq - 1000;
    END IF;
END $$;

CREATE FUNCTION feed_conversation() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    switched_in UUID;
    handed_off_by UUID;
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM append_feed_event(NEW.tenant_id, NEW.user_id, 'ConversationCreated', NEW.id);
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        PERFORM append_feed_event(OLD.tenant_id, OLD.user_id, 'ConversationDeleted', OLD.id);
        RETURN NULL;
    END IF;
    IF (OLD.title, OLD.scenario_id, OLD.project_id, OLD.follows_default)
            IS DISTINCT FROM (NEW.title, NEW.scenario_id, NEW.project_id, NEW.follows_default)
        OR (OLD.active_agent_id IS NOT NULL AND NEW.active_agent_id IS NULL) THEN
        PERFORM append_feed_event(NEW.tenant_id, NEW.user_id, 'ConversationUpdated', NEW.id);
    END IF;
    IF NEW.active_agent_id IS NOT NULL AND NEW.active_agent_id IS DISTINCT FROM OLD.active_agent_id THEN
        -- The run or the handoff that this transaction has written with it: the reason is in their rows.
        SELECT id INTO switched_in FROM runs
            WHERE tenant_id = NEW.tenant_id AND conversation_id = NEW.id AND status IN ('RUNNING', 'REQUIRES_ACTION')
                AND xmin = pg_current_xact_id()::xid
            LIMIT 1;
        IF switched_in IS NOT NULL THEN
            SELECT id INTO handed_off_by FROM handoffs
                WHERE run_id = switched_in AND to_agent_id = NEW.active_agent_id AND xmin = pg_current_xact_id()::xid
                LIMIT 1;
        END IF;
        PERFORM append_feed_event(NEW.tenant_id, NEW.user_id, 'AgentSwitched', NEW.id,
            run => switched_in, handoff => handed_off_by,
            from_agent => OLD.active_agent_id, to_agent => NEW.active_agent_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION feed_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM append_feed_event(tenant_id, user_id, 'MessageAdded', id, message => NEW.id) FROM conversations
        WHERE tenant_id = NEW.tenant_id AND id = NEW.conversation_id;
    RETURN NULL;
END $$;

CREATE FUNCTION feed_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM append_feed_event(NEW.tenant_id, NEW.user_id, 'RunChanged', NEW.conversation_id, run => NEW.id);
    RETURN NULL;
END $$;

CREATE FUNCTION feed_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- If the same transaction changes the run as well, that is the event.
    PERFORM append_feed_event(tenant_id, user_id, 'RunChanged', conversation_id, run => id) FROM runs
        WHERE tenant_id = NEW.tenant_id AND id = NEW.run_id AND xmin <> pg_current_xact_id()::xid;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER "conversations_feed" AFTER INSERT OR DELETE ON "conversations"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION feed_conversation();
CREATE CONSTRAINT TRIGGER "conversations_feed_update" AFTER UPDATE ON "conversations"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.title, OLD.scenario_id, OLD.project_id, OLD.follows_default, OLD.active_agent_id)
        IS DISTINCT FROM (NEW.title, NEW.scenario_id, NEW.project_id, NEW.follows_default, NEW.active_agent_id))
    EXECUTE FUNCTION feed_conversation();
CREATE CONSTRAINT TRIGGER "messages_feed" AFTER INSERT ON "messages"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status <> 'STREAMING') EXECUTE FUNCTION feed_message();
CREATE CONSTRAINT TRIGGER "messages_feed_update" AFTER UPDATE OF "status" ON "messages"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.status = 'STREAMING' AND NEW.status <> 'STREAMING')
    EXECUTE FUNCTION feed_message();
CREATE CONSTRAINT TRIGGER "runs_feed" AFTER INSERT ON "runs"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION feed_run();
CREATE CONSTRAINT TRIGGER "runs_feed_update" AFTER UPDATE OF "status" ON "runs"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION feed_run();
CREATE CONSTRAINT TRIGGER "tool_calls_feed_update" AFTER UPDATE OF "status" ON "tool_calls"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.status = 'AWAITING_APPROVAL' AND NEW.status <> 'AWAITING_APPROVAL') EXECUTE FUNCTION feed_decision();
