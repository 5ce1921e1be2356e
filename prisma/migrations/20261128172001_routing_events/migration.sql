-- A decision of orchestration comes while the run goes on: whoever was shown the run and its message before has an event.
CREATE CONSTRAINT TRIGGER "runs_feed_routed" AFTER UPDATE OF "routing_decision" ON "runs"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.routing_decision IS NULL AND NEW.routing_decision ? 'basis') EXECUTE FUNCTION feed_run();
