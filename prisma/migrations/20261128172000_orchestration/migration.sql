-- CreateEnum
CREATE TYPE "OrchestrationMode" AS ENUM ('OFF', 'FIRST_TURN', 'EVERY_TURN');

-- AlterTable
ALTER TABLE "scenarios" ADD COLUMN     "classifier_agent_id" UUID,
ADD COLUMN     "orchestration_instructions" TEXT,
ADD COLUMN     "orchestration_mode" "OrchestrationMode" NOT NULL DEFAULT 'OFF',
ADD COLUMN     "orchestration_threshold" DOUBLE PRECISION NOT NULL DEFAULT 0.6;

-- CreateIndex
CREATE INDEX "scenarios_tenant_id_classifier_agent_id_idx" ON "scenarios"("tenant_id", "classifier_agent_id");

-- AddForeignKey
ALTER TABLE "scenarios" ADD CONSTRAINT "scenarios_tenant_id_classifier_agent_id_fkey" FOREIGN KEY ("tenant_id", "classifier_agent_id") REFERENCES "agents"("tenant_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "scenarios"
    ADD CONSTRAINT "scenarios_orchestration_threshold" CHECK ("orchestration_threshold" BETWEEN 0 AND 1),
    ADD CONSTRAINT "scenarios_orchestration_instructions" CHECK (char_length("orchestration_instructions") BETWEEN 1 AND 10000);

-- The last decision of a conversation: few messages have one.
CREATE INDEX "messages_routed" ON "messages" ("conversation_id", "position") WHERE "routing_decision" IS NOT NULL;

-- The reason of a switch without a run is in the decision that the same transaction has written to a message.
CREATE OR REPLACE FUNCTION feed_conversation() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    switched_in UUID;
    handed_off_by UUID;
    routed_by UUID;
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
        ELSE
            SELECT last.id INTO routed_by FROM (
                SELECT id, xmin FROM messages
                WHERE conversation_id = NEW.id AND routing_decision IS NOT NULL AND position IS NOT NULL
                ORDER BY position DESC LIMIT 1
            ) AS last WHERE last.xmin = pg_current_xact_id()::xid;
        END IF;
        PERFORM append_feed_event(NEW.tenant_id, NEW.user_id, 'AgentSwitched', NEW.id,
            message => routed_by, run => switched_in, handoff => handed_off_by,
            from_agent => OLD.active_agent_id, to_agent => NEW.active_agent_id);
    END IF;
    RETURN NULL;
END $$;
