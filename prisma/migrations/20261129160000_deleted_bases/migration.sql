-- A deleted base is not seen from then on; its rows are deleted by a job, which finds it here.
ALTER TABLE "knowledge_bases" ADD COLUMN     "deleted_at" TIMESTAMPTZ(3);

CREATE INDEX "knowledge_bases_deleted" ON "knowledge_bases" ("deleted_at", "id") WHERE "deleted_at" IS NOT NULL;
