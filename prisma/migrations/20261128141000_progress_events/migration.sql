-- Whatever a reader of the feed can have been shown of a turn has an event when it changes: a message that begins counts
-- in its conversation, and calls are read with their messages. Else a cache that an event has filled would stay behind.
CREATE FUNCTION feed_begun_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM append_feed_event(tenant_id, user_id, 'RunChanged', conversation_id, run => id) FROM runs
        WHERE tenant_id = NEW.tenant_id AND id = NEW.run_id AND xmin <> pg_current_xact_id()::xid;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER "messages_feed_begun" AFTER INSERT ON "messages"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status = 'STREAMING') EXECUTE FUNCTION feed_begun_message();

-- Not decisions alone: every state of a call.
DROP TRIGGER "tool_calls_feed_update" ON "tool_calls";
CREATE CONSTRAINT TRIGGER "tool_calls_feed_update" AFTER UPDATE OF "status" ON "tool_calls"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION feed_decision();
