-- Trigrams find misspelt words. The extension is a trusted one: whoever may create objects in the database may create it.
DO $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm') THEN
    CREATE EXTENSION pg_trgm;
  END IF;
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
  RAISE EXCEPTION 'The extension pg_trgm cannot be created: %. Install it on the server (it is part of contrib), and have a superuser run CREATE EXTENSION pg_trgm in this database.', SQLERRM;
END $$;

-- CreateEnum
CREATE TYPE "KnowledgeDocumentStatus" AS ENUM ('QUEUED', 'INDEXING', 'READY', 'FAILED');

-- CreateTable
CREATE TABLE "knowledge_bases" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "project_id" UUID,
    "name" TEXT NOT NULL,
    "description" TEXT,
    "language" TEXT NOT NULL DEFAULT 'english',
    "embedding" JSONB,
    "document_count" INTEGER NOT NULL DEFAULT 0,
    "chunk_count" INTEGER NOT NULL DEFAULT 0,
    "change_seq" INTEGER NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "knowledge_bases_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "knowledge_documents" (
    "id" UUID NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "knowledge_base_id" UUID NOT NULL,
    "title" TEXT NOT NULL,
    "media_type" TEXT NOT NULL,
    "url" TEXT,
    "size" INTEGER NOT NULL DEFAULT 0,
    "metadata" JSONB NOT NULL DEFAULT '{}',
    "status" "KnowledgeDocumentStatus" NOT NULL DEFAULT 'QUEUED',
    "progress" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "error" TEXT,
    "chunk_count" INTEGER NOT NULL DEFAULT 0,
    "revision" INTEGER NOT NULL DEFAULT 1,
    "generation" INTEGER NOT NULL DEFAULT 0,
    "attempt" INTEGER NOT NULL DEFAULT 0,
    "change_seq" INTEGER NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "knowledge_documents_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "knowledge_source_parts" (
    "tenant_id" TEXT NOT NULL,
    "knowledge_base_id" UUID NOT NULL,
    "document_id" UUID NOT NULL,
    "revision" INTEGER NOT NULL,
    "position" INTEGER NOT NULL,
    "data" BYTEA NOT NULL,

    CONSTRAINT "knowledge_source_parts_pkey" PRIMARY KEY ("tenant_id","knowledge_base_id","document_id","revision","position")
);

-- CreateTable
CREATE TABLE "knowledge_chunks" (
    "id" BIGSERIAL NOT NULL,
    "tenant_id" TEXT NOT NULL,
    "knowledge_base_id" UUID NOT NULL,
    "document_id" UUID NOT NULL,
    "generation" INTEGER NOT NULL,
    "position" INTEGER NOT NULL,
    "headings" TEXT[],
    "text" TEXT NOT NULL,
    "content_hash" TEXT NOT NULL,
    "tsv" tsvector NOT NULL,

    CONSTRAINT "knowledge_chunks_pkey" PRIMARY KEY ("tenant_id","knowledge_base_id","document_id","generation","position")
);

-- CreateTable
CREATE TABLE "knowledge_words" (
    "tenant_id" TEXT NOT NULL,
    "knowledge_base_id" UUID NOT NULL,
    "word" TEXT NOT NULL,

    CONSTRAINT "knowledge_words_pkey" PRIMARY KEY ("tenant_id","knowledge_base_id","word")
);

-- CreateIndex
CREATE INDEX "knowledge_bases_tenant_id_created_at_id_idx" ON "knowledge_bases"("tenant_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "knowledge_bases_tenant_id_project_id_created_at_id_idx" ON "knowledge_bases"("tenant_id", "project_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "knowledge_bases_tenant_id_id_key" ON "knowledge_bases"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "knowledge_documents_tenant_id_knowledge_base_id_created_at__idx" ON "knowledge_documents"("tenant_id", "knowledge_base_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "knowledge_documents_tenant_id_knowledge_base_id_change_seq_idx" ON "knowledge_documents"("tenant_id", "knowledge_base_id", "change_seq");

-- CreateIndex
CREATE INDEX "knowledge_documents_metadata_idx" ON "knowledge_documents" USING GIN ("metadata" jsonb_path_ops);

-- CreateIndex
CREATE UNIQUE INDEX "knowledge_documents_tenant_id_id_key" ON "knowledge_documents"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "knowledge_documents_tenant_id_knowledge_base_id_id_key" ON "knowledge_documents"("tenant_id", "knowledge_base_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "knowledge_chunks_id_key" ON "knowledge_chunks"("id");

-- CreateIndex
CREATE INDEX "knowledge_chunks_tenant_id_content_hash_idx" ON "knowledge_chunks"("tenant_id", "content_hash");

-- CreateIndex
CREATE INDEX "knowledge_chunks_tsv_idx" ON "knowledge_chunks" USING GIN ("tsv");

-- CreateIndex
CREATE INDEX "knowledge_words_word_idx" ON "knowledge_words" USING GIN ("word" gin_trgm_ops);

-- AddForeignKey
ALTER TABLE "knowledge_bases" ADD CONSTRAINT "knowledge_bases_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "knowledge_documents" ADD CONSTRAINT "knowledge_documents_tenant_id_knowledge_base_id_fkey" FOREIGN KEY ("tenant_id", "knowledge_base_id") REFERENCES "knowledge_bases"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "knowledge_source_parts" ADD CONSTRAINT "knowledge_source_parts_tenant_id_knowledge_base_id_documen_fkey" FOREIGN KEY ("tenant_id", "knowledge_base_id", "document_id") REFERENCES "knowledge_documents"("tenant_id", "knowledge_base_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "knowledge_chunks" ADD CONSTRAINT "knowledge_chunks_tenant_id_knowledge_base_id_document_id_fkey" FOREIGN KEY ("tenant_id", "knowledge_base_id", "document_id") REFERENCES "knowledge_documents"("tenant_id", "knowledge_base_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "knowledge_words" ADD CONSTRAINT "knowledge_words_tenant_id_knowledge_base_id_fkey" FOREIGN KEY ("tenant_id", "knowledge_base_id") REFERENCES "knowledge_bases"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- By hand.

ALTER TABLE "knowledge_bases"
    ADD CONSTRAINT "knowledge_bases_counts_not_negative" CHECK ("document_count" >= 0 AND "chunk_count" >= 0);
ALTER TABLE "knowledge_documents"
    ADD CONSTRAINT "knowledge_documents_progress" CHECK ("progress" BETWEEN 0 AND 1),
    ADD CONSTRAINT "knowledge_documents_error" CHECK (("status" = 'FAILED') = ("error" IS NOT NULL)),
    ADD CONSTRAINT "knowledge_documents_metadata" CHECK (jsonb_typeof("metadata") = 'object');
ALTER TABLE "knowledge_chunks"
    ADD CONSTRAINT "knowledge_chunks_position" CHECK ("position" > 0);

-- Each change of a document gets the next number of its base, and the base its counts. The row of the base is locked until the
-- change is committed, so that numbers become visible in their order: whoever reads on after a number misses none.
CREATE FUNCTION number_knowledge_document() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  seq integer;
BEGIN
  UPDATE knowledge_bases SET
    change_seq = change_seq + 1,
    document_count = document_count + (TG_OP = 'INSERT')::int,
    chunk_count = chunk_count + NEW.chunk_count - coalesce(OLD.chunk_count, 0)
  WHERE tenant_id = NEW.tenant_id AND id = NEW.knowledge_base_id
  RETURNING change_seq INTO seq;
  NEW.change_seq := coalesce(seq, 0);
  RETURN NEW;
END $$;
CREATE TRIGGER knowledge_documents_number BEFORE INSERT OR UPDATE ON knowledge_documents
    FOR EACH ROW EXECUTE FUNCTION number_knowledge_document();

CREATE FUNCTION uncount_knowledge_document() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE knowledge_bases SET document_count = document_count - 1, chunk_count = chunk_count - OLD.chunk_count
  WHERE tenant_id = OLD.tenant_id AND id = OLD.knowledge_base_id;
  RETURN NULL;
END $$;
CREATE TRIGGER knowledge_documents_uncount AFTER DELETE ON knowledge_documents
    FOR EACH ROW EXECUTE FUNCTION uncount_knowledge_document();
