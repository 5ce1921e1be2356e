-- CreateTable
CREATE TABLE "steered_messages" (
    "message_id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "conversation_id" UUID NOT NULL,
    "run_id" UUID NOT NULL,
    "idempotency_key" TEXT NOT NULL,
    "payload_hash" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,

    CONSTRAINT "steered_messages_pkey" PRIMARY KEY ("message_id")
);

-- CreateIndex
CREATE INDEX "steered_messages_run_id_seq_idx" ON "steered_messages"("run_id", "seq");

-- CreateIndex
CREATE UNIQUE INDEX "steered_messages_conversation_id_idempotency_key_key" ON "steered_messages"("conversation_id", "idempotency_key");

-- CreateIndex
CREATE UNIQUE INDEX "steered_messages_conversation_id_message_id_key" ON "steered_messages"("conversation_id", "message_id");

-- AddForeignKey
ALTER TABLE "steered_messages" ADD CONSTRAINT "steered_messages_conversation_id_message_id_fkey" FOREIGN KEY ("conversation_id", "message_id") REFERENCES "messages"("conversation_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "steered_messages" ADD CONSTRAINT "steered_messages_conversation_id_run_id_fkey" FOREIGN KEY ("conversation_id", "run_id") REFERENCES "runs"("conversation_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;


-- A message that waits to join a run is a queued run whose number is above 1,000,000,000: it is in no list, and no event of the
-- feed tells of it. When it becomes a turn of its own, it gets the next number of its conversation.
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
                AND number > NEW.number AND number < 1000000000
            ORDER BY number
        LOOP
            PERFORM append_feed_event(NEW.tenant_id, NEW.user_id, 'RunChanged', NEW.conversation_id, run => moved);
        END LOOP;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION feed_numbered_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM append_feed_event(NEW.tenant_id, NEW.user_id, 'RunChanged', NEW.conversation_id, run => NEW.id, is_new => true);
    RETURN NULL;
END $$;

DROP TRIGGER "runs_feed" ON "runs";
CREATE CONSTRAINT TRIGGER "runs_feed" AFTER INSERT ON "runs"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.number < 1000000000) EXECUTE FUNCTION feed_run();
CREATE CONSTRAINT TRIGGER "runs_feed_numbered" AFTER UPDATE OF "number" ON "runs"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.number >= 1000000000 AND NEW.number < 1000000000)
    EXECUTE FUNCTION feed_numbered_run();
