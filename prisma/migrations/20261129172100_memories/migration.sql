-- CreateTable
CREATE TABLE "memories" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "user_id" TEXT NOT NULL,
    "project_id" UUID,
    "text" TEXT NOT NULL,
    "tsv" tsvector NOT NULL,
    "agent_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "memories_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "memories_tenant_id_user_id_updated_at_id_idx" ON "memories"("tenant_id", "user_id", "updated_at", "id");

-- CreateIndex
CREATE INDEX "memories_tenant_id_project_id_idx" ON "memories"("tenant_id", "project_id");

-- CreateIndex
CREATE UNIQUE INDEX "memories_tenant_id_id_key" ON "memories"("tenant_id", "id");

-- AddForeignKey
ALTER TABLE "memories" ADD CONSTRAINT "memories_tenant_id_user_id_fkey" FOREIGN KEY ("tenant_id", "user_id") REFERENCES "users"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "memories" ADD CONSTRAINT "memories_tenant_id_project_id_fkey" FOREIGN KEY ("tenant_id", "project_id") REFERENCES "projects"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- The API refuses more.
ALTER TABLE "memories" ADD CONSTRAINT "memories_text_check" CHECK (char_length("text") BETWEEN 1 AND 1000);
