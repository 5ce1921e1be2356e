-- CreateTable
CREATE TABLE "conversation_shares" (
    "tenant_id" TEXT NOT NULL,
    "conversation_id" UUID NOT NULL,
    "token_hash" TEXT NOT NULL,
    "up_to_message_id" UUID NOT NULL,
    "with_tools" BOOLEAN NOT NULL,
    "by_admin" BOOLEAN NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3),

    CONSTRAINT "conversation_shares_pkey" PRIMARY KEY ("tenant_id","conversation_id")
);

-- CreateIndex
CREATE UNIQUE INDEX "conversation_shares_token_hash_key" ON "conversation_shares"("token_hash");

-- CreateIndex
CREATE INDEX "conversation_shares_conversation_id_up_to_message_id_idx" ON "conversation_shares"("conversation_id", "up_to_message_id");

-- AddForeignKey
ALTER TABLE "conversation_shares" ADD CONSTRAINT "conversation_shares_tenant_id_conversation_id_fkey" FOREIGN KEY ("tenant_id", "conversation_id") REFERENCES "conversations"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "conversation_shares" ADD CONSTRAINT "conversation_shares_conversation_id_up_to_message_id_fkey" FOREIGN KEY ("conversation_id", "up_to_message_id") REFERENCES "messages"("conversation_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- The readers of the owner's feed are told when a conversation is shared, and when it is no longer.
CREATE FUNCTION feed_share() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Of a conversation that was deleted, nothing more is told.
    PERFORM append_feed_event(tenant_id, user_id, 'ConversationUpdated', id) FROM conversations
        WHERE (tenant_id, id) = (coalesce(NEW.tenant_id, OLD.tenant_id), coalesce(NEW.conversation_id, OLD.conversation_id));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER "conversation_shares_feed" AFTER INSERT OR UPDATE OR DELETE ON "conversation_shares"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION feed_share();
