-- CreateTable
CREATE TABLE "drafts" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "user_id" TEXT,
    "conversation_id" UUID,
    "project_id" UUID,
    "key" TEXT NOT NULL,
    "title" TEXT NOT NULL,
    "content" JSONB NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "drafts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "draft_versions" (
    "tenant_id" TEXT NOT NULL,
    "draft_id" UUID NOT NULL,
    "version" INTEGER NOT NULL,
    "content" JSONB NOT NULL,
    "bytes" INTEGER NOT NULL,
    "call_key" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "draft_versions_pkey" PRIMARY KEY ("draft_id","version")
);

-- CreateIndex
CREATE INDEX "drafts_tenant_id_user_id_updated_at_id_idx" ON "drafts"("tenant_id", "user_id", "updated_at", "id");

-- CreateIndex
CREATE INDEX "drafts_tenant_id_conversation_id_updated_at_id_idx" ON "drafts"("tenant_id", "conversation_id", "updated_at", "id");

-- CreateIndex
CREATE INDEX "drafts_tenant_id_project_id_updated_at_id_idx" ON "drafts"("tenant_id", "project_id", "updated_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "drafts_tenant_id_id_key" ON "drafts"("tenant_id", "id");

-- AddForeignKey
ALTER TABLE "drafts" ADD CONSTRAINT "drafts_tenant_id_user_id_fkey" FOREIGN KEY ("tenant_id", "user_id") REFERENCES "users"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "drafts" ADD CONSTRAINT "drafts_tenant_id_conversation_id_fkey" FOREIGN KEY ("tenant_id", "conversation_id") REFERENCES "conversations"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "drafts" ADD CONSTRAINT "drafts_tenant_id_project_id_fkey" FOREIGN KEY ("tenant_id", "project_id") REFERENCES "projects"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "draft_versions" ADD CONSTRAINT "draft_versions_tenant_id_draft_id_fkey" FOREIGN KEY ("tenant_id", "draft_id") REFERENCES "drafts"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- A key names one draft in its conversation, else in its project, else for its user: of two that save a new one at the same
-- time, the second finds it.
CREATE UNIQUE INDEX "drafts_conversation_id_key_key" ON "drafts"("tenant_id", "conversation_id", "key")
  WHERE "conversation_id" IS NOT NULL;
CREATE UNIQUE INDEX "drafts_project_id_key_key" ON "drafts"("tenant_id", "project_id", "key") WHERE "project_id" IS NOT NULL;
CREATE UNIQUE INDEX "drafts_user_id_key_key" ON "drafts"("tenant_id", "user_id", "key")
  WHERE "conversation_id" IS NULL AND "project_id" IS NULL;
CREATE UNIQUE INDEX "draft_versions_call_key_key" ON "draft_versions"("draft_id", "call_key") WHERE "call_key" IS NOT NULL;

-- The bounds of drafts/input.ts, with room: no row is larger, whoever writes it.
ALTER TABLE "drafts"
  ADD CONSTRAINT "drafts_scope_check" CHECK (num_nonnulls("conversation_id", "project_id") <= 1),
  -- A draft of a project stays if the user who has saved it is deleted.
  ADD CONSTRAINT "drafts_user_id_check" CHECK (("project_id" IS NULL) = ("user_id" IS NOT NULL)),
  ADD CONSTRAINT "drafts_key_check" CHECK (char_length("key") BETWEEN 1 AND 255),
  ADD CONSTRAINT "drafts_title_check" CHECK (char_length("title") BETWEEN 1 AND 255),
  ADD CONSTRAINT "drafts_content_check" CHECK (octet_length("content"::text) <= 800000),
  ADD CONSTRAINT "drafts_version_check" CHECK ("version" >= 1);
ALTER TABLE "draft_versions"
  ADD CONSTRAINT "draft_versions_version_check" CHECK ("version" >= 1),
  ADD CONSTRAINT "draft_versions_bytes_check" CHECK ("bytes" BETWEEN 1 AND 800000),
  ADD CONSTRAINT "draft_versions_call_key_check" CHECK (char_length("call_key") <= 400);
