-- CreateEnum
CREATE TYPE "AttachmentKind" AS ENUM ('IMAGE', 'TEXT', 'AUDIO', 'OTHER');

-- CreateTable
CREATE TABLE "attachments" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "conversation_id" UUID,
    "name" TEXT NOT NULL,
    "media_type" TEXT NOT NULL,
    "kind" "AttachmentKind" NOT NULL,
    "size" INTEGER NOT NULL,
    "text" TEXT,
    "is_text_cut" BOOLEAN NOT NULL DEFAULT false,
    "model_image" BYTEA,
    "image_tokens" INTEGER,
    "notice" TEXT,
    "expires_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "attachments_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "attachment_pieces" (
    "attachment_id" UUID NOT NULL,
    "position" INTEGER NOT NULL,
    "data" BYTEA NOT NULL,

    CONSTRAINT "attachment_pieces_pkey" PRIMARY KEY ("attachment_id","position")
);

-- CreateIndex
CREATE INDEX "attachments_tenant_id_user_id_idx" ON "attachments"("tenant_id", "user_id");

-- CreateIndex
CREATE INDEX "attachments_tenant_id_conversation_id_idx" ON "attachments"("tenant_id", "conversation_id");

-- CreateIndex
CREATE INDEX "attachments_expires_at_idx" ON "attachments"("expires_at");

-- AddForeignKey
ALTER TABLE "attachments" ADD CONSTRAINT "attachments_tenant_id_user_id_fkey" FOREIGN KEY ("tenant_id", "user_id") REFERENCES "users"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "attachments" ADD CONSTRAINT "attachments_tenant_id_conversation_id_fkey" FOREIGN KEY ("tenant_id", "conversation_id") REFERENCES "conversations"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "attachment_pieces" ADD CONSTRAINT "attachment_pieces_attachment_id_fkey" FOREIGN KEY ("attachment_id") REFERENCES "attachments"("id") ON DELETE CASCADE ON UPDATE CASCADE;

ALTER TABLE "attachments"
  ADD CONSTRAINT "attachments_size_check" CHECK ("size" > 0),
  ADD CONSTRAINT "attachments_name_check" CHECK (char_length("name") BETWEEN 1 AND 255),
  ADD CONSTRAINT "attachments_media_type_check" CHECK (char_length("media_type") <= 255),
  ADD CONSTRAINT "attachments_expires_at_check" CHECK ("conversation_id" IS NOT NULL OR "expires_at" IS NOT NULL);
ALTER TABLE "attachment_pieces" ADD CONSTRAINT "attachment_pieces_data_check" CHECK (octet_length("data") <= 262144);
