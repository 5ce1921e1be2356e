-- AlterTable
ALTER TABLE "conversations" ADD COLUMN     "creation_hash" TEXT,
ADD COLUMN     "creation_key" TEXT;

-- AlterTable
ALTER TABLE "messages" ADD COLUMN     "creation_hash" TEXT,
ADD COLUMN     "creation_key" TEXT;

-- Only rows with a key are indexed: nearly all messages have none.
CREATE UNIQUE INDEX "conversations_creation_key" ON "conversations" ("tenant_id", "user_id", "creation_key")
  WHERE "creation_key" IS NOT NULL;
CREATE UNIQUE INDEX "messages_creation_key" ON "messages" ("conversation_id", "creation_key")
  WHERE "creation_key" IS NOT NULL;
