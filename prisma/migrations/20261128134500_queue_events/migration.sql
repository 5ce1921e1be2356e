-- AlterTable
ALTER TABLE "feed_events" ADD COLUMN     "is_new" BOOLEAN NOT NULL DEFAULT false;

-- Only its parameters change: is_new is the last one. Triggers call it by name, so they find this one.
DROP FUNCTION append_feed_event(TEXT, TEXT, "FeedEventType", UUID, UUID, UUID, UUID, UUID, UUID);
CREATE FUNCTION append_feed_event(
    tenant TEXT, owner TEXT, kind "FeedEventType", conversation UUID,
    message UUID DEFAULT NULL, run UUID DEFAULT NULL, handoff UUID DEFAULT NULL,
    from_agent UUID DEFAULT NULL, to_agent UUID DEFAULT NULL, is_new BOOLEAN DEFAULT false
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    next_seq INTEGER;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(tenant, hashtextextended(owner, 0)));
    -- A statement of its own: it sees what was committed while this transaction waited for the lock.
    INSERT INTO feed_events (tenant_id, user_id, seq, at, type, conversation_id,
        message_id, run_id, handoff_id, from_agent_id, to_agent_id, is_new)
    SELECT tenant, owner, 1 + greatest(users.expired_event_seq, (
            SELECT seq FROM feed_events WHERE tenant_id = tenant AND user_id = owner ORDER BY seq DESC LIMIT 1)),
        clock_timestamp(), kind, conversation, message, run, handoff, from_agent, to_agent,
        append_feed_event.is_new
    -- No row if the user is deleted in the same transaction.
    FROM users WHERE tenant_id = tenant AND id = owner
    RETURNING seq INTO next_seq;
    -- The last 1,000 are kept, some at a time are deleted.
    IF next_seq % 100 = 0 THEN
        DELETE FROM feed_events WHERE tenant_id = tenant AND user_id = owner
            AND seq BETWEEN next_seq - 1099 AND next_seq - 1000;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION feed_run() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moved UUID;
BEGIN
    PERFORM append_feed_event(NEW.tenant_id, NEW.user_id, 'RunChanged', NEW.conversation_id,
        run => NEW.id, is_new => TG_OP = 'INSERT');
    -- Who leaves the queue moves those behind it. (PL/pgSQL may look at OLD in an UPDATE only.)
    IF TG_OP = 'INSERT' THEN
        RETURN NULL;
    END IF;
    IF OLD.status = 'QUEUED' THEN
        FOR moved IN
            SELECT id FROM runs
            WHERE tenant_id = NEW.tenant_id AND conversation_id = NEW.conversation_id AND status = 'QUEUED'
                AND number > NEW.number
            ORDER BY number
        LOOP
            PERFORM append_feed_event(NEW.tenant_id, NEW.user_id, 'RunChanged', NEW.conversation_id, run => moved);
        END LOOP;
    END IF;
    RETURN NULL;
END $$;
