-- AlterTable
ALTER TABLE "messages" ADD COLUMN     "is_indexed" BOOLEAN NOT NULL DEFAULT false;

-- CreateTable
CREATE TABLE "message_words" (
    "tenant_id" TEXT NOT NULL,
    "message_id" UUID NOT NULL,
    "user_id" TEXT NOT NULL,
    "tsv" tsvector NOT NULL,

    CONSTRAINT "message_words_pkey" PRIMARY KEY ("tenant_id","message_id")
);

-- CreateIndex
CREATE INDEX "message_words_tsv_idx" ON "message_words" USING GIN ("tsv");

-- AddForeignKey
ALTER TABLE "message_words" ADD CONSTRAINT "message_words_tenant_id_message_id_fkey" FOREIGN KEY ("tenant_id", "message_id") REFERENCES "messages"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What is to be indexed yet: a few rows, once those that are there are.
CREATE INDEX "messages_unindexed" ON "messages" ("conversation_id") WHERE NOT "is_indexed";

-- A text that was indexed and is replaced, or blocked, is found no longer from that moment on. It costs other changes nothing:
-- the condition is looked at before the function is called, and its first part is false until a message has been indexed.
CREATE FUNCTION forget_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM message_words WHERE tenant_id = OLD.tenant_id AND message_id = OLD.id;
    NEW.is_indexed := false;
    RETURN NEW;
END $$;
CREATE TRIGGER "messages_words" BEFORE UPDATE OF "content", "status" ON "messages" FOR EACH ROW
    WHEN (OLD.is_indexed AND (OLD.status <> NEW.status OR OLD.content <> NEW.content))
    EXECUTE FUNCTION forget_words();
